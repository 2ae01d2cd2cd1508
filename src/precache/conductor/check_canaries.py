"""The canaries of a job: which hosts they are, and whether the others may follow them."""

from __future__ import annotations

from collections.abc import Sequence

from precache.conductor.job_run import JobRun
from precache.core.hosts import Host
from precache.core.jobs import Task, TaskFilter
from precache.ports.inventory import HostQueries
from precache.ports.job_store import JobQueries
from precache.rules.canaries import canary_count, spread_first


class CheckCanaries:
    """The use case. One object serves all jobs. It needs no memory: the stored tasks and the inventory suffice."""

    def __init__(self, *, hosts: HostQueries, queries: JobQueries) -> None:
        self._hosts = hosts
        self._queries = queries

    def choose(self, run: JobRun) -> Sequence[str]:
        """Return the canaries; none if all hosts of the job may be called.

        The hosts that were called or have ended are among them, also if the inventory has changed since. If there are
        more of these than canaries, an earlier conductor found that the canaries have succeeded. Raises Unavailable if
        the inventory is unavailable when the run is to stop.
        """
        canary, hosts = run.job.options.canary, run.remaining.hosts
        if canary is None or not hosts:
            return ()
        known = run.retry("The choice of canaries of", lambda: self._hosts.find_hosts(list(hosts)), until=run.work)
        run.known.update(known)
        count, unended, asked = canary_count(canary, len(hosts)), run.remaining.images, run.remaining.asked
        begun = [host for host in hosts if host in asked or host not in unended]
        if len(begun) > count:
            return ()
        spread = spread_first(hosts, count, lambda name: _place(known.get(name)))
        return list(dict.fromkeys([*begun, *spread]))[:count]

    def find_failure(self, run: JobRun, canaries: Sequence[str]) -> Task | None:
        """Return a stored task of a canary that ended without success; None if there is none."""
        names = set(canaries)
        failed = {outcome: count for outcome, count in run.recorder.counts.items() if not outcome.is_success and count}
        if not failed:
            return None
        tasks = run.retry(
            "The look for the canaries of",
            lambda: self._queries.list_tasks(
                run.job.id, only=TaskFilter(outcomes=frozenset(failed)), limit=sum(failed.values())
            ),
        )
        return next((task for task in tasks if task.host in names), None)


def _place(host: Host | None) -> tuple[str, str] | None:
    return None if host is None or host.cell is None else (host.cell, host.site)
