"""Decides when each host of a job is called: at once, after a random wait, after the canaries, when it is up, again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import random

from precache.background.backoff import Backoff
from precache.conductor.ask_host import same_result
from precache.conductor.check_canaries import CheckCanaries
from precache.conductor.choose_transfers import ChooseTransfers
from precache.conductor.group_hosts import GroupHosts
from precache.conductor.host_queue import HostQueue
from precache.conductor.job_run import JobRun
from precache.conductor.shared_caches import SharedCaches
from precache.core.errors import Unavailable
from precache.core.hosts import Host
from precache.core.job_options import WhenDown
from precache.core.jobs import HostEnded, HostPutBack, JobStep, Outcome
from precache.core.stopping import StopReason
from precache.core.text import number_of, plain_line
from precache.rules.group_by_cell import HostGroups
from precache.rules.schedule import first_start

_log = logging.getLogger(__name__)

DOWN = "the host is down or was forced down; bring it up and send the request again"
UNMAPPED = (
    "no Precache compute has ever sent a heartbeat from this host, so it belongs to no cell; start `precache serve "
    "compute` there, under this name ([DEFAULT] host), and send the request again"
)
CANARY_FAILED = "Canary {} failed: {}"

RETRY_BACKOFF = Backoff(first=timedelta(seconds=10), longest=timedelta(minutes=5), jitter=0.5)
"""Between two attempts of a task. With ten retries a host has more than half an hour to recover."""

DOWN_LOOK = timedelta(seconds=5)
"""How often a job that runs checks whether a host that it waits for is up."""

LONGEST_WAIT_FOR_HOSTS = timedelta(hours=24)
"""How long after it may first run a job waits for hosts that are down. A deadline may end it earlier."""


class AdmitHosts:
    """The use case. One object serves all jobs. random: returns a number from 0 to 1."""

    def __init__(
        self,
        *,
        group_hosts: GroupHosts,
        choose_transfers: ChooseTransfers,
        check_canaries: CheckCanaries,
        random: Callable[[], float] = random,
    ) -> None:
        self._group_hosts = group_hosts
        self._choose_transfers = choose_transfers
        self._check_canaries = check_canaries
        self._random = random

    def __call__(self, run: JobRun) -> HostAdmission:
        """Return the hosts of the job, with the steps of those that are never called noted. Raises as GroupHosts."""
        admission = HostAdmission(
            run=run,
            group_hosts=self._group_hosts,
            choose_transfers=self._choose_transfers,
            check_canaries=self._check_canaries,
            random=self._random,
        )
        admission.begin()
        return admission


class HostAdmission:
    """The hosts of one run that are not called yet; for the run's own thread."""

    def __init__(
        self,
        *,
        run: JobRun,
        group_hosts: GroupHosts,
        choose_transfers: ChooseTransfers,
        check_canaries: CheckCanaries,
        random: Callable[[], float],
    ) -> None:
        self._run = run
        self._group_hosts = group_hosts
        self._choose_transfers = choose_transfers
        self._check_canaries = check_canaries
        self._random = random
        self._queue = HostQueue()
        self._shared = SharedCaches(run)
        self._canaries: Sequence[str] = ()
        self._look_at = run.clock.now()

    def begin(self) -> None:
        """Admit the canaries of the job; all hosts if it has none."""
        run = self._run
        self._canaries = self._check_canaries.choose(run)
        names = list(run.recorder.unended)
        if self._canaries:
            canaries = set(self._canaries)
            names = [name for name in names if name in canaries]
        self._admit(names)

    def note(self, step: JobStep) -> None:
        """Take account of what was noted of a host."""
        if isinstance(step, HostPutBack):
            self._call_again(step)
        elif isinstance(step, HostEnded):
            self._shared.note(step)

    def _call_again(self, step: HostPutBack) -> None:
        """Have the host called again: after a failure with a wait that grows with their number."""
        run = self._run
        host = run.known.get(step.host)
        failures = max(run.recorder.failures_of(step.host).values(), default=0)
        pause = RETRY_BACKOFF.wait_after(max(1, failures)) if step.is_failure else timedelta()
        if host is not None and pause is not None:
            self._queue.put(host, run.clock.now() + pause)

    def due_hosts(self, *, is_quiet: bool) -> Mapping[str, list[Host]]:
        """Return the hosts that are to be called now, by cell.

        is_quiet: no host is being called, and all results of those that were called are noted.
        """
        run, now = self._run, self._run.clock.now()
        for host in self._shared.release():
            self._queue.put(host, now)
        if is_quiet and self._canaries and not self._queue and not self._are_canaries_left():
            self._judge_canaries()
        if run.down and now >= self._look_at:
            self._look_for_down_hosts(now)
        return {} if run.work.is_cancelled else self._queue.take(now)

    @property
    def waiting(self) -> list[Host]:
        """Return the hosts that are called at a later time."""
        return self._queue.hosts

    @property
    def is_empty(self) -> bool:
        """Return whether no host will be called later. The hosts that are down do not count."""
        return not self._queue and not self._shared and (not self._canaries or self._are_canaries_left())

    def _are_canaries_left(self) -> bool:
        return any(name in self._run.recorder.unended for name in self._canaries)

    def _judge_canaries(self) -> None:
        """Admit the other hosts if all canaries succeeded, else stop the job."""
        run = self._run
        run.retry("The record of", run.recorder.write)
        failed = self._check_canaries.find_failure(run, self._canaries)
        count, self._canaries = len(self._canaries), ()
        if failed is not None:
            outcome = failed.outcome or Outcome.ERROR
            run.reason = CANARY_FAILED.format(failed.host, plain_line(failed.reason or outcome.value, 160))
            _log.warning("Job %s calls no other host. %s", run.job.id, run.reason)
            run.work.cancel(StopReason.CANARY_FAILED)
            return
        _log.info("Job %s: all %i canaries succeeded, the other hosts follow", run.job.id, count)
        self._admit(list(run.recorder.unended))

    def _admit(self, names: Sequence[str]) -> None:
        run = self._run
        groups = self._group_hosts(run, names, is_patient=not self._waits_for_down_hosts(run.clock.now()))
        if run.ending is not None:
            return
        up = sum(map(len, groups.by_cell.values()))
        if up or not groups.down or len(names) == 0:
            _log.info(
                "Preparing to request pre-caching of image(s) %s on %i hosts across %i cells (job %s)",
                ",".join(run.job.images), len(names), len(groups.by_cell), run.job.id,
            )  # fmt: skip
        self._sort(groups)

    def _sort(self, groups: HostGroups) -> None:
        """Put the hosts that are up into the queue, and note the ends of those that are not called."""
        run, now = self._run, self._run.clock.now()
        up = [host for hosts in groups.by_cell.values() for host in self._shared.hold(hosts)]
        for host in self._choose_transfers(run, up):
            # A host that an earlier conductor called goes on, and uses its permit: join it at once.
            jitter_s = 0.0 if host.name in run.remaining.asked else run.job.options.jitter_s * self._random()
            self._queue.put(host, now + timedelta(seconds=jitter_s))
        if self._waits_for_down_hosts(now):
            run.down |= {host.name: host for host in groups.down}
            self._look_at = now + DOWN_LOOK
        else:
            self._skip(groups.down)
        for name in groups.unmapped:
            self._note_end(name, Outcome.ERROR, UNMAPPED)
        for host in groups.outdated:
            if run.requirement is not None:
                error = run.requirement.error_of(host)
                _log.warning("%s", error)
                self._note_end(host.name, Outcome.ERROR, str(error))

    def _waits_for_down_hosts(self, now: datetime) -> bool:
        job, options = self._run.job, self._run.job.options
        give_up_at = first_start(options, job.created_at) + LONGEST_WAIT_FOR_HOSTS
        return options.when_down is WhenDown.WAIT and now < give_up_at

    def _look_for_down_hosts(self, now: datetime) -> None:
        run, names = self._run, list(self._run.down)
        self._look_at = now + DOWN_LOOK
        try:
            groups = self._group_hosts.once(run, names)
        except Unavailable as error:
            _log.warning(
                "Job %s does not know which of %s are up: %s", run.job.id, number_of(len(names), "host"), error
            )
            return
        run.down.clear()
        self._sort(groups)

    def _skip(self, down: Sequence[Host]) -> None:
        for host in down:
            _log.info("Skipping image pre-cache request to compute %r because it is not up", host.name)
            self._note_end(host.name, Outcome.SKIPPED, DOWN)

    def _note_end(self, host: str, outcome: Outcome, reason: str) -> None:
        run = self._run
        results = same_result(run.recorder.unended[host], outcome, reason)
        run.recorder.note(HostEnded(host, results, run.clock.now(), run.cell_of(host)))
