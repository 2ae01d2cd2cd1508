"""Asks the hosts of a planned job, all at once, what their caches hold."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import replace
from datetime import timedelta

from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import PrecacheError
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.hosts import Host
from precache.ports.host_caches import HostCaches
from precache.ports.inventory import HostQueries
from precache.rules.group_by_cell import HostGroups, RpcRequirement, group_by_cell, hosts_of_unknown_state

_log = logging.getLogger(__name__)

HOST_WITHIN = timedelta(seconds=5)
"""How long one host may take. A host that is up answers within milliseconds."""

ALL_WITHIN = timedelta(seconds=20)
"""How long all hosts may take, because the client of the API waits: by default for 30 seconds."""

UNMAPPED = "no Precache compute has ever sent a heartbeat from this host, so it belongs to no cell"
NOT_LISTENED = "the conductor has not yet listened to its cell for long enough to know whether it is up; ask again"
TOO_LATE = "there was no answer within the {:.0f} seconds for all hosts; ask again, or for fewer hosts"


class SurveyHosts:
    """The port `CacheSurvey` in the conductor. One object serves all requests; thread-safe.

    pool: of the threads that ask hosts. service_down_time, listening_for_s: see GroupHosts.
    requirement: what a compute must speak to be asked; None without a bus.
    limits: a survey without hosts, with the limits that each survey has.
    can_swarm: whether a host that is up can pass images on to others.
    """

    def __init__(
        self,
        *,
        hosts: HostQueries,
        caches: HostCaches,
        pool: Executor,
        service_down_time: timedelta,
        requirement: RpcRequirement | None,
        listening_for_s: Callable[[str], float],
        limits: Survey,
        can_swarm: Callable[[Host], bool] = lambda _host: False,
        host_within: timedelta = HOST_WITHIN,
        all_within: timedelta = ALL_WITHIN,
    ) -> None:
        self._hosts, self._caches, self._pool = hosts, caches, pool
        self._service_down_time = service_down_time
        self._requirement = requirement
        self._listening_for_s = listening_for_s
        self._limits = limits
        self._can_swarm = can_swarm
        self._host_within, self._all_within = host_within, all_within

    def ask(self, hosts: Sequence[str], images: Sequence[ImageSize]) -> Survey:
        until = time.monotonic() + self._all_within.total_seconds()
        names = list(dict.fromkeys(hosts))
        groups = group_by_cell(names, self._hosts.find_hosts(names), self._service_down_time, self._requirement)
        reports = dict(self._not_asked(groups)) | self._asked(groups, images, until)
        return replace(self._limits, reports={name: reports[name] for name in names})

    def _not_asked(self, groups: HostGroups) -> Iterator[tuple[str, HostReport]]:
        """Yield the reports of the hosts that cannot be asked."""
        unsure = hosts_of_unknown_state(groups.down, self._listening_for_s, self._service_down_time)
        for host in groups.down:
            standing = HostStanding.UNKNOWN if host in unsure else HostStanding.DOWN
            yield host.name, HostReport(standing, host.cell, host.site, reason=NOT_LISTENED if host in unsure else "")
        for host in groups.outdated:
            if self._requirement is not None:
                reason = str(self._requirement.error_of(host))
                yield host.name, HostReport(HostStanding.UNKNOWN, host.cell, host.site, reason=reason)
        for name in groups.unmapped:
            yield name, HostReport(HostStanding.UNKNOWN, reason=UNMAPPED)

    def _asked(self, groups: HostGroups, images: Sequence[ImageSize], until: float) -> dict[str, HostReport]:
        """Ask the hosts that are up and return their reports. until: by time.monotonic()."""
        futures = {
            self._pool.submit(self._caches.describe_cache, host.name, cell, images, self._host_within): host
            for cell, of_cell in groups.by_cell.items()
            for host in of_cell
        }
        done, late = wait(futures, max(0.0, until - time.monotonic()))
        for future in late:
            future.cancel()
        too_late = TOO_LATE.format(self._all_within.total_seconds())
        reports = {
            host: HostReport(HostStanding.UNKNOWN, host.cell, host.site, reason=too_late)
            for host in map(futures.__getitem__, late)
        }
        reports |= {futures[each]: _report(futures[each], each) for each in done}
        return {
            host.name: replace(report, cache_id=host.cache_id, can_swarm=self._can_swarm(host))
            for host, report in reports.items()
        }


def _report(host: Host, answer: Future[CacheContents]) -> HostReport:
    try:
        return HostReport(HostStanding.ANSWERED, host.cell, host.site, contents=answer.result())
    except PrecacheError as error:
        return HostReport(HostStanding.UNKNOWN, host.cell, host.site, reason=str(error))
    except Exception as error:  # noqa: BLE001  a bug on one host must not fail the whole plan
        _log.exception("Asking host %s what its cache holds failed", host.name)
        return HostReport(
            HostStanding.UNKNOWN, host.cell, host.site, reason=f"unexpected {type(error).__name__}: {error}"
        )
