"""Nova's hosts, and what their computes of ours have said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from precache.adapters.inventory_nova.api import NovaApi
from precache.adapters.inventory_nova.services import NovaService, NovaServices
from precache.core.hosts import Host
from precache.ports.clock import Clock
from precache.ports.inventory import HostQueries

CACHE_TIME = timedelta(seconds=3)


class NovaHosts:
    """The port `HostQueries`: who exists and is up says Nova, where the compute is and what it can says `hosts`.

    A host of Nova's of which no compute was ever heard has no cell. One that only we have heard of is not given:
    Nova does not know it under that name.
    """

    def __init__(self, *, api: NovaApi, hosts: HostQueries, clock: Clock, cache_time: timedelta = CACHE_TIME) -> None:
        self._services = NovaServices(api=api, clock=clock, cache_time=cache_time)
        self._hosts = hosts

    def list_hosts(self, *, limit: int | None = None, marker: str | None = None) -> list[Host]:
        services = self._services.list_services()
        names = sorted(name for name in services if marker is None or name > marker)[:limit]
        heard = self._hosts.find_hosts(names)
        return [_joined(services[name], heard.get(name)) for name in names]

    def find_hosts(self, names: Sequence[str]) -> dict[str, Host]:
        if not names:
            return {}
        services = self._services.find_services(names)
        heard = self._hosts.find_hosts(names)
        return {name: _joined(services[name], heard.get(name)) for name in names if name in services}


def _joined(service: NovaService, heard: Host | None) -> Host:
    host = heard or Host(name=service.host, cell=None)
    return replace(host, forced_down=service.forced_down, owner_says_down=service.is_down and not service.forced_down)
