"""Checks which hosts may take part in relays: those of the inventory, for images that a task asks them for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from precache.core.errors import ConductorUnreachable, RelayRefused
from precache.core.hosts import Host
from precache.core.relays import JoinRequest
from precache.ports.inventory import HostQueries
from precache.ports.relay_store import RelayTasks
from precache.rules.swarm_members import why_no_member, why_silent

CHECKED_FOR = timedelta(minutes=1)
"""How long a host that has left the inventory may still report, and get tickets."""

_MOST_REMEMBERED = 100_000


class RelayHosts:
    """Thread-safe. service_down_time: of heartbeats; a host that is silent for longer may not join yet."""

    def __init__(
        self,
        *,
        hosts: HostQueries,
        tasks: RelayTasks,
        service_down_time: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hosts, self._tasks, self._service_down_time = hosts, tasks, service_down_time
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # By host and cell, until when it need not be checked again; the one that was checked last is at the end.
        self._checked: OrderedDict[tuple[str, str], float] = OrderedDict()

    def joining(self, request: JoinRequest) -> Host:
        """Return the host, as the inventory has it.

        Raises RelayRefused if it may not join; ConductorUnreachable if it may after its next heartbeat.
        """
        host = self._hosts.find_hosts([request.host]).get(request.host)
        why = why_no_member(host, request.cell)
        if host is None or why:
            raise RelayRefused(request.host, why)
        if silence := why_silent(host, self._service_down_time):
            raise ConductorUnreachable(f"host {request.host} may not join yet, because {silence}")
        if not self._tasks.is_asked(request.job_id, request.host, request.image):
            why = f"no unfinished task of job {request.job_id} asks it for image {request.image}"
            raise RelayRefused(request.host, why)
        return host

    def check_member(self, name: str, cell: str) -> None:
        """Raise RelayRefused if a host that has joined is no longer in the inventory, or not in this cell."""
        now = self._monotonic()
        with self._lock:
            if self._checked.get((name, cell), now) > now:
                return
        host = self._hosts.find_hosts([name]).get(name)
        if host is None or host.cell != cell:
            raise RelayRefused(name, why_no_member(host, cell))
        with self._lock:
            self._checked.pop((name, cell), None)
            self._checked[name, cell] = now + CHECKED_FOR.total_seconds()
            if len(self._checked) > _MOST_REMEMBERED:
                self._checked.popitem(last=False)
