"""Has one host clean its cache, as an operator asks through the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from precache.conductor.survey_hosts import NOT_LISTENED, UNMAPPED
from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.errors import (
    BusUnavailable,
    CleanRefused,
    ComputeUnreachable,
    HostNotReached,
    Refused,
    Stopped,
    Unavailable,
)
from precache.ports.host_caches import HostCaches
from precache.ports.inventory import HostQueries
from precache.rules.group_by_cell import RpcRequirement, group_by_cell, hosts_of_unknown_state

HOST_WITHIN = timedelta(seconds=20)
"""How long a host may take: it looks at all its disks for each entry that it removes. The client waits as long."""


class CleanHost:
    """The port `CacheCleaning` in the conductor. One object serves all requests; thread-safe.

    service_down_time, listening_for_s: see GroupHosts. requirement: what a compute must speak; None without a bus.
    """

    def __init__(
        self,
        *,
        hosts: HostQueries,
        caches: HostCaches,
        service_down_time: timedelta,
        requirement: RpcRequirement | None,
        listening_for_s: Callable[[str], float],
        within: timedelta = HOST_WITHIN,
    ) -> None:
        self._hosts, self._caches = hosts, caches
        self._service_down_time = service_down_time
        self._requirement = requirement
        self._listening_for_s = listening_for_s
        self._within = within

    def clean(self, host: str, request: CleanRequest) -> CleanResult:
        cell = self._cell_of(host)
        try:
            result = self._caches.clean_cache(host, cell, request, self._within)
        except ComputeUnreachable as error:
            raise HostNotReached(host, error.reason, was_asked=True) from error
        except Unavailable as error:
            raise HostNotReached(host, str(error), was_asked=not isinstance(error, BusUnavailable)) from error
        except (Refused, Stopped) as error:
            raise CleanRefused(host, str(error)) from error
        if result.refused:
            raise CleanRefused(host, result.refused)
        return result

    def _cell_of(self, name: str) -> str:
        """Return the cell of the host. Raises HostNotReached or CleanRefused if it cannot be asked."""
        groups = group_by_cell([name], self._hosts.find_hosts([name]), self._service_down_time, self._requirement)
        for host in groups.outdated:
            if self._requirement is not None:
                raise CleanRefused(name, str(self._requirement.error_of(host)))
        if groups.unmapped:
            raise CleanRefused(name, UNMAPPED)
        if groups.down:
            is_unknown = hosts_of_unknown_state(groups.down, self._listening_for_s, self._service_down_time)
            raise HostNotReached(name, NOT_LISTENED if is_unknown else "it is down")
        return next(iter(groups.by_cell))
