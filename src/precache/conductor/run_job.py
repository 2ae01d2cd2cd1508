"""Runs one job that we hold: every host of it ends in exactly one outcome for each image.

Safe to be interrupted anywhere: what was recorded stays, and whoever claims the job next goes on with the
tasks that are still waiting. Asking a host twice is harmless, for it touches an image that it has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from datetime import timedelta
from threading import Event

from precache.conductor.announce import Announcer
from precache.conductor.ask_host import ask_host
from precache.core.errors import Stopped
from precache.core.hosts import Host
from precache.core.images import ImageId
from precache.core.jobs import HostAsked, HostEnded, Job, Outcome, Task, TaskResult, TaskState
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CacheRequest, ComputeGateway
from precache.ports.inventory import HostQueries
from precache.ports.job_store import JobClaims, JobQueries
from precache.rules.collate import Collation, collate
from precache.rules.verdict import verdict

_log = logging.getLogger(__name__)

DOWN = "the host is down or was forced down; bring it up and send the request again"
COMPUTE_STOPPED = "the host's compute was being stopped; send the request again when it runs"
UNMAPPED = "the host is not known or belongs to no cell; start its compute, which registers it, and send again"


@dataclass(slots=True)
class _Run:
    """What one run of a job knows; touched by the run's own thread only."""

    job: Job
    hosts: list[str]  # all of the job, also those that ended before this run
    images: dict[str, tuple[ImageId, ...]]  # still to do, by host
    ended_hosts: int


class RunJob:
    """The use case. One object serves all jobs; `pool` bounds how many hosts are asked at once, over all jobs."""

    def __init__(
        self,
        *,
        claims: JobClaims,
        queries: JobQueries,
        hosts: HostQueries,
        gateway: ComputeGateway,
        announcer: Announcer,
        clock: Clock,
        pool: Executor,
        owner: str,
        service_down_time: timedelta,
    ) -> None:
        self._claims = claims
        self._queries = queries
        self._hosts = hosts
        self._gateway = gateway
        self._announcer = announcer
        self._clock = clock
        self._pool = pool
        self._owner = owner
        self._service_down_time = service_down_time

    def __call__(self, job: Job, stop: Event) -> None:
        """Run the job to its end, or until `stop` is set: then leave the rest waiting and give the job back.

        Raises LeaseLost if another conductor has taken the job over, StoreUnavailable if what became of it
        cannot be written; in both cases whoever holds the lease next goes on.
        """
        run = self._open(job)
        collation = collate(
            run.images, self._hosts.find_hosts(list(run.images)), self._clock.now(), self._service_down_time
        )
        asked = [host for hosts in collation.by_cell.values() for host in hosts]
        _log.info(
            "Preparing to request pre-caching of image(s) %s on %i hosts across %i cells (job %s)",
            ",".join(job.images), len(run.images), len(collation.by_cell), job.id,
        )  # fmt: skip
        self._end_unasked(run, collation)
        self._ask_all(run, asked, stop)
        tasks = self._queries.tasks(job.id)
        if stop.is_set() and any(task.outcome is None for task in tasks):
            self._claims.release(job.id, self._owner)
            _log.info("Job %s goes on at the next start", job.id)
        else:
            self._close(run, tasks)

    def _open(self, job: Job) -> _Run:
        tasks = self._queries.tasks(job.id)
        images: dict[str, tuple[ImageId, ...]] = {}
        for task in tasks:
            if task.state is TaskState.WAITING:
                images[task.host] = (*images.get(task.host, ()), task.image)
        hosts = list(dict.fromkeys(task.host for task in tasks))
        run = _Run(job=job, hosts=hosts, images=images, ended_hosts=len(hosts) - len(images))
        if not any(task.attempts or task.outcome for task in tasks):  # else the one before us has announced it
            self._announcer.started(job, hosts)
        return run

    def _end_unasked(self, run: _Run, collation: Collation) -> None:
        for host in collation.down:
            _log.info("Skipping image pre-cache request to compute %r because it is not up", host.name)
            self._end_host(run, host.name, _all(run.images[host.name], Outcome.SKIPPED, DOWN))
        for name in collation.unmapped:
            self._end_host(run, name, _all(run.images[name], Outcome.ERROR, UNMAPPED))

    def _ask_all(self, run: _Run, hosts: Iterable[Host], stop: Event) -> None:
        futures: dict[Future[list[TaskResult]], Host] = {
            self._pool.submit(self._ask, run, host, stop): host for host in hosts
        }
        try:
            for future in as_completed(futures):
                try:
                    results = future.result()
                except Stopped:
                    continue
                self._end_host(run, futures[future].name, results)
        finally:
            for future in futures:
                future.cancel()

    def _ask(self, run: _Run, host: Host, stop: Event) -> list[TaskResult]:
        if stop.is_set():
            raise Stopped(f"Job {run.job.id}")
        images = run.images[host.name]
        cell = host.cell or ""
        self._claims.record(run.job.id, self._owner, [HostAsked(host.name, cell, images, self._clock.now())])
        try:
            return ask_host(self._gateway, CacheRequest(run.job.id, host.name, cell, images))
        except Stopped:
            if stop.is_set():
                raise
            return _all(images, Outcome.ERROR, COMPUTE_STOPPED)

    def _end_host(self, run: _Run, host: str, results: Sequence[TaskResult]) -> None:
        self._claims.record(run.job.id, self._owner, [HostEnded(host, tuple(results), self._clock.now())])
        run.ended_hosts += 1
        self._announcer.host_ended(run.job, host, results, run.ended_hosts, len(run.hosts))

    def _close(self, run: _Run, tasks: Sequence[Task]) -> None:
        state = verdict(task.outcome for task in tasks if task.outcome is not None)
        # The end is announced before it is stored: a conductor that dies in between leaves the job to another,
        # which announces it again. The other way round the end could be lost, and somebody may wait for it.
        self._announcer.ended(run.job, run.hosts)
        finished = self._claims.finish(run.job.id, self._owner, state, self._clock.now())
        _log_summary(finished, tasks)


def _all(images: Sequence[ImageId], outcome: Outcome, reason: str) -> list[TaskResult]:
    return [TaskResult(image, outcome, reason=reason) for image in images]


def _log_summary(job: Job, tasks: Sequence[Task]) -> None:
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0.0
    counted = ", ".join(f"{job.counts.get(outcome, 0)} {outcome}" for outcome in Outcome)
    _log.info(
        "Image pre-cache operation for image(s) %s completed in %.2f seconds; %s (job %s: %s)",
        ",".join(job.images), seconds, counted, job.id, job.state,
    )  # fmt: skip
    for image in job.images:
        failed = sum(task.image == image and task.outcome is Outcome.ERROR for task in tasks)
        if failed:
            _log.warning("Image pre-cache operation for image %s failed %i times", image, failed)
