"""Which hosts take part in swarms, as it is configured; the same for jobs and for their plans."""

from __future__ import annotations

from precache.conductor.choose_transfers import SwarmDispatch
from precache.conductor.order_calls import OrderCalls
from precache.config.load import Config
from precache.core.job_options import Transfer
from precache.core.transfer_rules import TransferRules


def swarm_dispatch(config: Config, swarm_since: str | None, order: OrderCalls | None = None) -> SwarmDispatch | None:
    """Return the choice of hosts. order: of the calls; None for that of the request.

    swarm_since: the version of the messages with which hosts take part; empty without a bus, None if none do.
    """
    if swarm_since is None:
        return None
    swarm = config.swarm
    rules = TransferRules(
        transfer=Transfer(swarm.transfer),
        by_site={site: Transfer(mode) for site, mode in swarm.site_transfer.items()},
        min_hosts=swarm.min_hosts,
        attestations=swarm.attestations,
        site_parents=swarm.site_parents,
    )
    pin = config.upgrade_levels.compute if swarm_since else None
    return SwarmDispatch(rules, swarm_since, pin, order or list)
