"""Nova's hosts, joined with the heartbeats of their Precache computes."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from precache.adapters.inventory_nova.api import NovaApi
from precache.background.single_flight import SingleFlight
from precache.core.hosts import Host
from precache.ports.clock import Clock
from precache.ports.inventory import HostQueries

_PATH = "/os-services?binary=nova-compute"
_RULE = "os_compute_api:os-services:list"


@dataclass(frozen=True, slots=True)
class NovaService:
    """A nova-compute service, by Nova's API.

    is_down: the service has not reported to Nova lately, or is forced down. False if Nova does not know, because the
    database of that cell is down; also False for a service that is only disabled.
    """

    host: str
    is_down: bool
    forced_down: bool


Services = Mapping[str, NovaService]


class NovaServices:
    """The services by host name."""

    def __init__(self, *, api: NovaApi, clock: Clock, cache_time: timedelta) -> None:
        self._api = api
        self._clock = clock
        self._cache_time = cache_time
        self._lock = threading.Lock()
        self._known: Services = {}
        self._insufficient: Services = self._known
        self._known_at: datetime | None = None
        self._query = SingleFlight(self._read, name="nova-services")

    def list_services(self) -> Services:
        """Return Nova's answer, at most as old as the cache time. Raises InventoryUnavailable."""
        return self.find_services(())

    def find_services(self, hosts: Collection[str]) -> Services:
        """Return the same, but query Nova again if one of `hosts` is missing: it may be newer than the cache."""
        with self._lock:
            if self._is_fresh() and all(host in self._known for host in hosts):
                return self._known
            self._insufficient = self._known
        return self._query()

    def _is_fresh(self) -> bool:
        # If the clock was set back, the answer counts as old.
        return self._known_at is not None and timedelta() <= self._clock.now() - self._known_at < self._cache_time

    def _read(self) -> Services:
        with self._lock:
            if self._known is not self._insufficient:  # another caller's answer came after this caller had looked
                return self._known
        services = self._api.read(_PATH, _RULE, _services)
        with self._lock:
            self._known, self._known_at = services, self._clock.now()
        return services


def _services(document: Any) -> Services:
    return {service.host: service for service in map(_service, document["services"])}


def _service(record: dict[str, Any]) -> NovaService:
    # Both fields are missing if Nova could not reach the cell.
    return NovaService(
        host=str(record["host"]), is_down=record.get("state") == "down", forced_down=record.get("forced_down") is True
    )


CACHE_TIME = timedelta(seconds=3)


class NovaHosts:
    """The port `HostQueries`: Nova says which hosts exist and are up; `hosts` gives their cell, driver and versions.

    A host without any heartbeat has no cell. A host with heartbeats that Nova does not know is omitted.
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
