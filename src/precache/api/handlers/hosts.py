"""Compute hosts: who is there, who is up, who is to be left out for a while, and who is gone for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.instants import rfc3339
from precache.api.handlers.pages import page
from precache.core.errors import HostNotFound
from precache.core.hosts import Host
from precache.core.names import is_name
from precache.ports.clock import Clock
from precache.ports.inventory import HostChanges, HostQueries, HostRemoval


class Hosts:
    """One method per operation."""

    def __init__(
        self,
        *,
        queries: HostQueries,
        changes: HostChanges,
        removal: HostRemoval,
        clock: Clock,
        service_down_time: timedelta,
    ) -> None:
        self._queries = queries
        self._changes = changes
        self._removal = removal
        self._clock = clock
        self._service_down_time = service_down_time

    def index(self, call: Call) -> Answer:
        """List hosts by name, a page at a time: `marker` is the last name of the page before."""
        marker = call.query.get("marker")

        def items(limit: int) -> list[Host]:
            return self._queries.list_hosts(limit=limit, marker=marker)

        return page(call, "hosts", "/v1/hosts", items=items, view=self._view, marker=lambda host: host.name)

    def show(self, call: Call) -> Answer:
        name = _host_name(call)
        host = self._queries.find_hosts([name]).get(name)
        if host is None:
            raise HostNotFound(name)
        return Answer({"host": self._view(host)})

    def update(self, call: Call) -> Answer:
        host = self._changes.set_forced_down(_host_name(call), call.body["forced_down"])
        return Answer({"host": self._view(host)})

    def delete(self, call: Call) -> Answer:
        self._removal.delete_host(_host_name(call), self._clock.now() - self._service_down_time)
        return Answer(status=204)

    def _view(self, host: Host) -> dict[str, Any]:
        is_up = host.is_up(self._clock.now(), self._service_down_time)
        return {
            "name": host.name,
            "cell": host.cell,
            "state": "up" if is_up else "down",
            "forced_down": host.forced_down,
            "driver": host.driver,
            "last_seen": rfc3339(host.last_seen),
        }


def _host_name(call: Call) -> str:
    """Give the name in the path. Raises HostNotFound for what no host can be called."""
    name = call.params["host_name"]
    if not is_name(name):
        raise HostNotFound(name)
    return name
