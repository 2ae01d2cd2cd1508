"""The order in which the hosts of a site are called for a swarm, from what is known of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from precache.core.errors import StoreUnavailable
from precache.core.host_rates import UNKNOWN_RATES
from precache.core.hosts import Host
from precache.ports.relay_store import HostLoad, HostRatesStore
from precache.rules.relay_call_order import CalledHost, call_order

_log = logging.getLogger(__name__)


class OrderCalls:
    """The use case. One object serves all jobs; thread-safe."""

    def __init__(self, *, rates: HostRatesStore, load: HostLoad) -> None:
        self._rates, self._load = rates, load

    def __call__(self, hosts: Sequence[Host]) -> list[Host]:
        """Return the hosts of one site in the order of `call_order`; as they are if the store is unavailable."""
        by_name = {host.name: host for host in hosts}
        names = list(by_name)
        try:
            rates, tasks = self._rates.find_rates(names), self._load.running_tasks(names)
        except StoreUnavailable as error:
            _log.warning("The hosts of site %s are called in the order of the request: %s", hosts[0].site, error)
            return list(hosts)
        known = ((name, rates.get(name, UNKNOWN_RATES)) for name in names)
        return [
            by_name[name]
            for name in call_order(
                CalledHost(
                    host=name,
                    busy_tasks=tasks.get(name, 0),
                    uplink_bytes_per_s=of_host.uplink_bytes_per_s,
                    link_bytes_per_s=of_host.link_bytes_per_s,
                )
                for name, of_host in known
            )
        ]
