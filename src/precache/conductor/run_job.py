"""Runs one job that we hold: every host of it ends in exactly one outcome for each image.

Safe to be interrupted anywhere: what was recorded stays, and the conductor that claims the job next continues with the
tasks that are still waiting. A host may have been asked, or even have answered, before that is recorded: to ask it
again is harmless, for it answers from memory, joins the work under way, or touches the image that it has.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from precache.background.backoff import retry_until
from precache.background.cancel_token import CancelToken
from precache.background.daemon_pool import DaemonPool
from precache.conductor.announce import Announcer
from precache.conductor.ask_host import ask_host
from precache.conductor.event_queue import EventQueue
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_summary import log_summary
from precache.conductor.outcome_recorder import OutcomeRecorder
from precache.conductor.unasked import all_alike, end_unasked
from precache.core.errors import Stopped, Unavailable
from precache.core.hosts import Host
from precache.core.images import ImageId
from precache.core.jobs import HostAsked, HostEnded, Job, JobState, Outcome, Task, TaskState
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CacheRequest, ComputeGateway
from precache.ports.inventory import HostQueries
from precache.ports.job_store import JobClaims, JobQueries
from precache.rules.fan_out import FanOut
from precache.rules.group_by_cell import HostGroups, RpcRequirement, group_by_cell, hosts_of_unknown_state
from precache.rules.verdict import verdict

T = TypeVar("T")

_log = logging.getLogger(__name__)

COMPUTE_STOPPED = "the host's compute was being stopped; send the request again when it runs"

WRITE_INTERVAL = timedelta(seconds=0.25)
"""How long an outcome waits before it is written: short for a user, but few transactions a second."""

HEARING_INTERVAL_S = 1.0
"""How often a job that waits for a word from its hosts looks for one."""

LOOK_S = 0.25
"""How long a job in which nothing happens may not notice that it is to stop."""

STOP_PATIENCE = timedelta(seconds=4)
"""How long a stopped job waits for hosts that are being asked; those that are slower are asked again by the next."""


@dataclass(slots=True)
class _Run:
    """What one run of a job knows; `steps` are put in by the pool's threads, the rest is for the run's own.

    images: still to do, by host. requirement: the versions that this job needs.
    """

    job: Job
    images: dict[str, tuple[ImageId, ...]]
    recorder: OutcomeRecorder
    requirement: RpcRequirement | None
    stop: CancelToken
    steps: EventQueue = field(default_factory=EventQueue)


class RunJob:
    """The use case. One object serves all jobs; `pool` bounds how many hosts are asked at once, over all jobs.

    concurrency: how many threads the pool has. write_interval: between two batches of outcomes of one job.
    stop_patience: how long a job that is to stop waits for the hosts that are being asked.
    requirement: None where no bus lies between us and the computes. heard_for_s: for how many seconds, until now, a
        heartbeat from this cell would have been noted.
    """

    def __init__(
        self,
        *,
        claims: JobClaims,
        queries: JobQueries,
        hosts: HostQueries,
        gateway: ComputeGateway,
        announcer: Announcer,
        clock: Clock,
        pool: DaemonPool,
        concurrency: int,
        service_down_time: timedelta,
        requirement: RpcRequirement | None = None,
        heard_for_s: Callable[[str], float] = lambda _cell: math.inf,
        write_interval: timedelta = WRITE_INTERVAL,
        stop_patience: timedelta = STOP_PATIENCE,
    ) -> None:
        self._claims = claims
        self._queries = queries
        self._hosts = hosts
        self._gateway = gateway
        self._announcer = announcer
        self._clock = clock
        self._pool = pool
        self._concurrency = concurrency
        self._service_down_time = service_down_time
        self._requirement = requirement
        self._heard_for_s = heard_for_s
        self._write_interval = write_interval
        self._stop_patience_s = stop_patience.total_seconds()

    def __call__(self, job: Job, stop: CancelToken) -> None:
        """Run the job to its end, or until `stop` is cancelled: then leave the rest waiting and release the job.

        While the store is away, what the hosts answered is kept and no further one is asked. Raises LeaseLost if
        another conductor has taken the job over, Unavailable if a part that we need is away when we are to stop; in
        both cases the next holder of the lease continues.
        """
        run = self._open(job, stop)
        groups = self._group_by_cell(run)
        _log.info(
            "Preparing to request pre-caching of image(s) %s on %i hosts across %i cells (job %s)",
            ",".join(job.images), len(run.images), len(groups.by_cell), job.id,
        )  # fmt: skip
        for host, results in end_unasked(groups, run.images, run.requirement):
            run.recorder.note(HostEnded(host, results, self._clock.now()))
        self._ask_all(run, groups)
        # Counted by the store: thousands of tasks need not come here once more.
        seen = self._retry(run, "The last look at", lambda: self._queries.get(job.id))
        if sum(seen.counts.values()) < seen.task_count:
            self._claims.release(job.claim)
            _log.info("Job %s goes on at the next start, or with another conductor", job.id)
        else:
            self._close(run, verdict(Counter(seen.counts).elements()))

    def _open(self, job: Job, stop: CancelToken) -> _Run:
        start = "The start of job"
        tasks = retry_until(lambda: self._queries.tasks(job.id), what=start, of=job.id, wait=stop.wait)
        images: dict[str, tuple[ImageId, ...]] = {}
        for task in tasks:
            if task.state is TaskState.WAITING:
                images[task.host] = (*images.get(task.host, ()), task.image)
        hosts = list(dict.fromkeys(task.host for task in tasks))
        if not any(task.attempts or task.outcome for task in tasks):  # else the one before us has announced it
            self._announcer.started(job, hosts)
        recorder = OutcomeRecorder(
            job=job,
            hosts=hosts,
            ended_hosts=len(hosts) - len(images),
            claims=self._claims,
            announcer=self._announcer,
            interval=self._write_interval,
        )
        has_options = any(order.has_options for order in job.orders)
        requirement = self._requirement.with_options() if self._requirement and has_options else self._requirement
        return _Run(job, images, recorder, requirement, stop)

    def _group_by_cell(self, run: _Run) -> HostGroups:
        """Sort the hosts, when it can be known which of them are up.

        After this process, a message bus or the store was down, heartbeats may be missing only for that reason. These
        hosts are given the time in which they would have been heard.
        """
        give_up_at = time.monotonic() + self._service_down_time.total_seconds()
        is_told = False
        while True:
            known = self._retry(run, "The look for the hosts of", lambda: self._hosts.find_hosts(list(run.images)))
            groups = group_by_cell(run.images, known, self._service_down_time, run.requirement)
            doubtful = hosts_of_unknown_state(groups.down, self._heard_for_s, self._service_down_time)
            if not doubtful or time.monotonic() >= give_up_at:
                return groups
            if not is_told:
                is_told = True
                _log.info(
                    "Job %s waits for heartbeats of %i host(s), such as %s, that may have been missed",
                    run.job.id, len(doubtful), doubtful[0].name,
                )  # fmt: skip
            if run.stop.wait(HEARING_INTERVAL_S):
                return replace(groups, down=tuple(host for host in groups.down if host not in doubtful))

    def _ask_all(self, run: _Run, groups: HostGroups) -> None:
        """Ask, and write down what comes of it, until no host is left or we are to stop."""
        asking = HostDispatcher(
            hosts=FanOut(groups.by_cell),
            ask=lambda host: self._ask(run, host),
            on_idle=run.steps.end,
            pool=self._pool,
            width=self._concurrency,
        )
        try:
            self._follow(run, asking)
        finally:
            asking.pause()

    def _follow(self, run: _Run, asking: HostDispatcher) -> None:
        give_up_at: float | None = None
        is_over = False
        while not is_over:
            if not run.stop.is_cancelled:
                asking.resume()
            elif give_up_at is None:
                asking.pause()
                give_up_at = time.monotonic() + self._stop_patience_s
            # Looked at before the steps: what the last turn had to say is among them by then. At rest with hosts left,
            # though the job was not stopped: the system had no thread to give, and is asked for one again.
            is_idle = asking.is_idle
            is_done = is_idle and (run.stop.is_cancelled or not asking.has_hosts_left)
            is_over = is_done or (give_up_at is not None and time.monotonic() > give_up_at)
            if not is_over:
                run.stop.wait(LOOK_S) if is_idle else _wait(run)
            for step in run.steps.take():
                run.recorder.note(step)
            if is_over or run.recorder.rest_s == 0.0:
                self._retry(run, "The record of", run.recorder.write, asking)

    def _ask(self, run: _Run, host: Host) -> None:
        """Ask the host unless we are to stop, and say so to the run's thread before and after."""
        if run.stop.is_cancelled:
            return
        images, cell = run.images[host.name], host.cell or ""
        wanted = set(images)
        orders = tuple(order for order in run.job.orders if order.image in wanted)
        run.steps.put(HostAsked(host.name, cell, images, self._clock.now()))
        try:
            results = tuple(ask_host(self._gateway, CacheRequest(run.job.id, host.name, cell, orders)))
        except Stopped:
            if run.stop.is_cancelled:
                return  # Nothing is known of the host; it is asked again when the job goes on.
            results = all_alike(images, Outcome.ERROR, COMPUTE_STOPPED)
        run.steps.put(HostEnded(host.name, results, self._clock.now()))

    def _retry(self, run: _Run, what: str, act: Callable[[], T], asking: HostDispatcher | None = None) -> T:
        """Return what `act` returns, as soon as it can; meanwhile no further host is asked."""
        pause = asking.pause if asking else lambda: None
        return retry_until(act, what=f"{what} job", of=run.job.id, wait=run.stop.wait, on_first_failure=pause)

    def _close(self, run: _Run, state: JobState) -> None:
        # If another conductor has taken the job over, that one announces its end.
        self._retry(run, "The end of", lambda: self._claims.record(run.job.claim, []))
        # The end is announced before it is stored: a conductor that dies in between leaves the job to another,
        # which announces it again. In the other order the announcement could be lost.
        self._announcer.ended(run.job, run.recorder.hosts)
        finished = self._retry(run, "The end of", lambda: self._claims.finish(run.job.claim, state))
        log_summary(finished, self._tasks_with_errors(finished))

    def _tasks_with_errors(self, finished: Job) -> Sequence[Task]:
        if not finished.counts.get(Outcome.ERROR):
            return ()
        try:
            return self._queries.tasks(finished.id)
        except Unavailable as error:
            # The job has ended; that its images cannot be told apart in the log is no reason to say otherwise.
            _log.warning("Which images of job %s failed cannot be said here: %s", finished.id, error)
            return ()


def _wait(run: _Run) -> None:
    """Wait for the first step or, where some are noted, until they are to be written or no more can come."""
    if run.recorder.rest_s is None:
        run.steps.wait_for_first(LOOK_S)
    else:
        run.steps.wait_for_last(min(run.recorder.rest_s, LOOK_S))
