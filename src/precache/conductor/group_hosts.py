"""Groups the hosts of a job by cell, as soon as it is known which of them are up."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from precache.conductor.job_run import JobRun
from precache.core.errors import Unavailable
from precache.core.text import number_of
from precache.ports.inventory import HostQueries
from precache.rules.group_by_cell import HostGroups, group_by_cell, hosts_of_unknown_state

_log = logging.getLogger(__name__)

HEARTBEAT_LOOK_S = 1.0
"""How often a job checks for the heartbeats that it waits for."""


class GroupHosts:
    """The use case. One object serves all jobs.

    service_down_time: a host without a heartbeat for this time is down.
    listening_for_s: for how many seconds, until now, a heartbeat from this cell would have been stored.
    """

    def __init__(
        self,
        *,
        hosts: HostQueries,
        service_down_time: timedelta,
        listening_for_s: Callable[[str], float] = lambda _cell: math.inf,
    ) -> None:
        self._hosts = hosts
        self._service_down_time = service_down_time
        self._listening_for_s = listening_for_s

    def __call__(self, run: JobRun, names: Sequence[str], *, is_patient: bool = True) -> HostGroups:
        """Return the groups of these hosts of the job; if it is being stopped, only those that are up.

        If this process, a message bus or the store was down, heartbeats may be missing for that reason. A patient job
        waits for these hosts as long as a heartbeat may take. If the run is to stop earlier, these hosts are in no
        group. A job that is being stopped does not wait. Raises Unavailable if the inventory is unavailable when the
        run is to stop.
        """
        try:
            groups = self._group(run, names, is_patient)
        except Unavailable:
            if run.ending is None:
                raise
            groups = HostGroups()
        return HostGroups(by_cell=groups.by_cell) if run.ending else groups

    def once(self, run: JobRun, names: Sequence[str]) -> HostGroups:
        """Return the groups of these hosts as they are now. Raises Unavailable."""
        known = self._hosts.find_hosts(list(names))
        groups = group_by_cell(names, known, self._service_down_time, run.requirement)
        run.known.update(known)
        up = {host.name for hosts in groups.by_cell.values() for host in hosts}
        run.up.difference_update(names)
        run.up.update(up)
        return groups

    def _group(self, run: JobRun, names: Sequence[str], is_patient: bool) -> HostGroups:
        give_up_at = time.monotonic() + (self._service_down_time.total_seconds() if is_patient else 0.0)
        is_logged = False
        while True:
            groups = run.retry("The look for the hosts of", lambda: self.once(run, names), until=run.work)
            unknown = hosts_of_unknown_state(groups.down, self._listening_for_s, self._service_down_time)
            if not unknown or time.monotonic() >= give_up_at:
                return groups
            if not is_logged:
                is_logged = True
                _log.info(
                    "Job %s waits for heartbeats of %s, such as %s, that may have been missed",
                    run.job.id, number_of(len(unknown), "host"), unknown[0].name,
                )  # fmt: skip
            run.stop_if_due()
            if run.work.wait(HEARTBEAT_LOOK_S):
                return replace(groups, down=tuple(host for host in groups.down if host not in unknown))
