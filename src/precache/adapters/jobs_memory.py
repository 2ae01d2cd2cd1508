"""Jobs and tasks in memory, for tests and for a service without a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from precache.core.errors import (
    HostNotFound,
    IdempotencyKeyReused,
    IllegalTransition,
    JobExists,
    JobNotFound,
    LeaseLost,
    NothingToRetry,
    TaskNotFound,
)
from precache.core.hosts import Host
from precache.core.idempotency import IdempotencyKey
from precache.core.images import ImageId
from precache.core.job_changes import JobChange
from precache.core.job_hosts import EVERY_HOST, HostProgress, HostTask, JobHostFilter
from precache.core.job_lists import EVERY_JOB, NEWEST_FIRST, JobFilter, JobSort, JobSortKey
from precache.core.jobs import (
    EVERY_TASK,
    Claim,
    Job,
    JobState,
    JobStep,
    NewJob,
    Outcome,
    Task,
    TaskFilter,
    TaskPlace,
    TaskProgress,
    TaskResult,
    TaskState,
    check_job_transition,
)
from precache.core.text import JOB_REASON_LENGTH, plain_line
from precache.core.transfer_rates import MeasuredRate
from precache.ports.clock import Clock
from precache.ports.job_store import JobSnapshot, RemainingTasks, Steering, TaskKey
from precache.ports.transfer_rates import MOST_JOBS
from precache.rules import steering, task_steps
from precache.rules.job_progress import add_up, host_progress, progress_by_image, sum_tasks
from precache.rules.measured_rates import EndedDownload, is_measurable, measure
from precache.rules.release import due_after_release, state_after_release
from precache.rules.stopping import stop_reason
from precache.rules.transfer_rate import with_current_rate

OnChange = Callable[[Job | None, Job], None]
"""Takes the job before the change of its state, None if it is new, and after it."""


def _ignore(old: Job | None, new: Job) -> None:
    """Store no notice."""


def _with_rate_at(task: Task, now: datetime | None) -> Task:
    return replace(task, rate_bytes_per_s=None) if now is None else with_current_rate(task, now)


@dataclass(slots=True)
class _Record:
    """A job, its position in the order of arrival, and its tasks by host and image. Its counts are not up to date."""

    job: Job
    number: int
    tasks: dict[str, dict[ImageId, Task]]
    on_change: OnChange
    idempotency_key: IdempotencyKey | None = None

    @property
    def age(self) -> tuple[datetime, int]:
        return self.job.created_at, self.number

    def seen(self, now: datetime | None = None) -> Job:
        """Return the job with its tasks counted. now: the time for their rates; None to leave the rates unknown."""
        tasks = [task if task.rate_bytes_per_s is None else _with_rate_at(task, now) for task in self.all_tasks()]
        by_image = progress_by_image(self.job.images, self.job.image_sizes, sum_tasks(tasks))
        progress = add_up([each.progress for each in by_image])
        return replace(self.job, counts=progress.counts, progress=progress, by_image=by_image)

    def downloads(self) -> Iterator[EndedDownload]:
        """Yield the downloads that show what the network can do."""
        images = {order.image for order in self.job.orders if is_measurable(self.job, order)}
        for task in self.all_tasks():
            is_cached = task.outcome is Outcome.CACHED and task.image in images and not task.bytes_hosts
            if is_cached and task.cell is not None and task.started_at is not None and task.finished_at is not None:
                yield EndedDownload(self.job.id, task.cell, task.bytes_done, task.started_at, task.finished_at)

    def all_tasks(self) -> list[Task]:
        """Return the tasks in the order of the request."""
        return [task for tasks in self.tasks.values() for task in tasks.values()]

    def placed(self) -> dict[TaskPlace, Task]:
        return {
            (host, image): task
            for host, tasks in enumerate(self.tasks.values())
            for image, task in enumerate(tasks.values())
        }

    def put_back_tasks(self) -> None:
        for task in self.all_tasks():
            if task.state is TaskState.RUNNING:
                self.tasks[task.host][task.image] = task_steps.put_back(task)

    @property
    def has_begun(self) -> bool:
        return any(task.attempts or task.state is not TaskState.WAITING for task in self.all_tasks())

    def change_state(self, state: JobState, **fields: Any) -> None:
        """Set the state of the job, and these other fields. The only place that changes it; it stores a notice."""
        old, self.job = self.job, replace(self.job, state=state, **fields)
        if old.state is not state:
            self.on_change(old, self.job)

    def steer(self, steered: Job) -> None:
        """Take over what an operator has changed."""
        changed = {field.name: getattr(steered, field.name) for field in fields(Job) if field.name != "state"}
        self.change_state(steered.state, **changed)

    def give_back(self, state: JobState, **fields: Any) -> None:
        check_job_transition(self.job.state, state)
        self.change_state(state, lease_owner=None, lease_until=None, **fields)
        self.put_back_tasks()

    def end(self, state: JobState, now: datetime, reason: str = "") -> None:
        check_job_transition(self.job.state, state)
        self.change_state(
            state,
            finished_at=now,
            lease_owner=None,
            lease_until=None,
            stopped_token=self.job.lease_token,
            due_at=None,
            reason=plain_line(reason, JOB_REASON_LENGTH),
        )


class MemoryJobs:
    """All ports of `ports/job_store.py`, and `TransferRates`, with one lock. clock: by default this machine's.

    on_change: called at each change of the state of a job, for its notice.
    find_host: returns the record of a host, for its cell and site; by default none is known.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        on_change: OnChange = _ignore,
        find_host: Callable[[str], Host | None] | None = None,
    ) -> None:
        self._now = clock.now if clock else lambda: datetime.now(UTC)
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._added = 0  # jobs ever added, so that a number is never reused
        self._on_change = on_change
        self._find_host = find_host

    def add(self, job: NewJob) -> Job:
        with self._lock:
            if job.idempotency_key and (found := self._find_repeated(job.idempotency_key)):
                return found
            if job.id in self._records:
                raise JobExists(job.id)
            stored = job.accepted()
            names = job.image_names
            tasks = {
                host: {image: Task(job.id, host, None, image, image_name=names.get(image)) for image in stored.images}
                for host in job.hosts
            }
            self._added += 1
            record = _Record(stored, self._added, tasks, self._on_change, job.idempotency_key)
            self._records[job.id] = record
            self._on_change(None, stored)
            return record.seen()

    def find_repeated(self, key: IdempotencyKey) -> Job | None:
        with self._lock:
            return self._find_repeated(key)

    def list_jobs(
        self,
        *,
        only: JobFilter = EVERY_JOB,
        sort: JobSort = NEWEST_FIRST,
        limit: int = 1000,
        marker: str | None = None,
    ) -> list[Job]:
        with self._lock:
            found = [
                (_sort_value(record.job, sort.key), record.number, record)
                for record in self._records.values()
                if only.matches(record.job, record.tasks)
            ]
            if marker is not None:
                record = self._get(marker)
                last = (_sort_value(record.job, sort.key), record.number)
                found = [each for each in found if (each[:2] < last if sort.is_descending else each[:2] > last)]
            found.sort(key=lambda each: each[:2], reverse=sort.is_descending)
            return [record.seen(self._now()) for _, _, record in found[:limit]]

    def get(self, job_id: str) -> Job:
        with self._lock:
            return self._get(job_id).seen(self._now())

    def list_tasks(
        self, job_id: str, *, only: TaskFilter = EVERY_TASK, limit: int = 1000, marker: TaskKey | None = None
    ) -> list[Task]:
        with self._lock:
            tasks = self._get(job_id).all_tasks()
        start = 0
        if marker is not None:
            keys = [(task.host, task.image) for task in tasks]
            if marker not in keys:
                raise TaskNotFound(job_id, *marker)
            start = keys.index(marker) + 1
        now = self._now()
        return [with_current_rate(task, now) for task in tasks[start:] if only.matches(task)][:limit]

    def list_hosts(
        self, job_id: str, *, only: JobHostFilter = EVERY_HOST, limit: int = 1000, marker: str | None = None
    ) -> list[HostProgress]:
        with self._lock:
            record, now = self._get(job_id), self._now()
            if marker is not None and marker not in record.tasks:
                raise HostNotFound(marker)
            found = [self._host_progress(record, host, now) for host in record.tasks]
        start = 0 if marker is None else list(record.tasks).index(marker) + 1
        return [each for each in found[start:] if only.matches(each)][:limit]

    def _host_progress(self, record: _Record, host: str, now: datetime) -> HostProgress:
        tasks = [with_current_rate(task, now) for task in record.tasks[host].values()]
        known = self._find_host(host) if self._find_host else None
        cell = next((task.cell for task in tasks if task.cell), None) or (known.cell if known else None)
        site = (known.announced_site or known.aggregate_site if known else "") or cell
        return host_progress(host, cell, site, list(map(HostTask.of, tasks)), record.job.image_sizes)

    def snapshots(self, job_ids: Collection[str]) -> Mapping[str, JobSnapshot]:
        with self._lock:
            now = self._now()
            found = {job_id: self._records[job_id] for job_id in job_ids if job_id in self._records}
            return {
                job_id: JobSnapshot(
                    record.seen(now),
                    {
                        place: with_current_rate(task, now)
                        for place, task in record.placed().items()
                        if task.state is TaskState.RUNNING
                    },
                )
                for job_id, record in found.items()
            }

    def ended_places(self, job_id: str, outcomes: Collection[Outcome]) -> Mapping[Outcome, Collection[TaskPlace]]:
        with self._lock:
            placed = self._records[job_id].placed() if job_id in self._records else {}
            return {outcome: [at for at, task in placed.items() if task.outcome is outcome] for outcome in outcomes}

    def tasks_at(self, job_id: str, places: Collection[TaskPlace]) -> Mapping[TaskPlace, Task]:
        with self._lock:
            placed = self._records[job_id].placed() if job_id in self._records else {}
            now = self._now()
            return {place: with_current_rate(placed[place], now) for place in places if place in placed}

    def cancel(self, job_id: str) -> Job:
        with self._lock:
            record, now = self._get(job_id), self._now()
            had_ended = record.job.state.is_final
            record.steer(steering.cancelled(record.job, now))
            if record.job.state.is_final and not had_ended:
                at = record.job.cancel_requested_at or now
                for task in record.all_tasks():
                    result = TaskResult(task.image, Outcome.CANCELLED)
                    record.tasks[task.host][task.image] = task_steps.ended(task, result, at)
            return record.seen(self._now())

    def pause(self, job_id: str) -> Job:
        return self._steer(job_id, steering.paused)

    def resume(self, job_id: str) -> Job:
        return self._steer(job_id, steering.resumed)

    def retry(self, job_id: str) -> Job:
        with self._lock:
            record = self._get(job_id)
            retried = steering.retried(record.job, self._now())
            unsuccessful = [task for task in record.all_tasks() if not (task.outcome and task.outcome.is_success)]
            if not unsuccessful:
                raise NothingToRetry(job_id)
            record.steer(retried)
            for task in unsuccessful:
                record.tasks[task.host][task.image] = task_steps.retried(task)
            return record.seen(self._now())

    def change(self, job_id: str, change: JobChange) -> Job:
        return self._steer(job_id, lambda job, now: steering.changed(job, change, now))

    def _steer(self, job_id: str, step: Callable[[Job, datetime], Job]) -> Job:
        with self._lock:
            record = self._get(job_id)
            record.steer(step(record.job, self._now()))
            return record.seen(self._now())

    def recent_rates(self) -> Mapping[str, MeasuredRate]:
        with self._lock:
            ended = [record for record in self._records.values() if record.job.state.is_final]
            recent = sorted(ended, key=lambda record: record.age, reverse=True)[:MOST_JOBS]
            return measure(download for record in recent for download in record.downloads())

    def check_reachable(self) -> None:
        """Do nothing: memory is always reachable."""

    def claim(self, owner: str, lease: timedelta, *, skip: Collection[str] = (), least_priority: int = 0) -> Job | None:
        with self._lock:
            now = self._now()
            free = [record for record in self._records.values() if _is_free(record.job, now)]
            wanted = [
                record for record in free if record.job.id not in skip and record.job.options.priority >= least_priority
            ]
            if not wanted:
                return None
            record = min(wanted, key=lambda record: (-record.job.options.priority, record.age))
            record.change_state(
                JobState.RUNNING,
                started_at=record.job.started_at or now,
                lease_owner=owner,
                lease_until=now + lease,
                lease_token=record.job.lease_token + 1,
                due_at=None,
                reason="",
            )
            record.put_back_tasks()
            return record.seen()

    def extend(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim]:
        lost = []
        with self._lock:
            for claim in claims:
                try:
                    record = self._held(claim)
                except (JobNotFound, LeaseLost):
                    lost.append(claim)
                else:
                    record.job = replace(record.job, lease_until=self._now() + lease)
        return lost

    def steering(self, claims: Sequence[Claim]) -> Mapping[Claim, Steering]:
        with self._lock:
            running = [record.job for record in self._records.values() if record.job.state is JobState.RUNNING]
            wanted = {
                job.claim: Steering(stop_reason(job.cancel_requested_at, job.pause_requested_at), job.revision)
                for job in running
            }
            return {claim: wanted[claim] for claim in claims if claim in wanted}

    def remaining(self, claim: Claim) -> RemainingTasks:
        with self._lock:
            by_host = self._held(claim).tasks
            left = {host: [task for task in tasks.values() if not task.outcome] for host, tasks in by_host.items()}
            images = {host: tuple(task.image for task in tasks) for host, tasks in left.items() if tasks}
            asked = {host: task.cell or "" for host, tasks in left.items() for task in tasks if task.attempts}
            failures = {
                (host, task.image): task.failures for host, tasks in left.items() for task in tasks if task.failures
            }
            return RemainingTasks(tuple(by_host), images, asked, failures)

    def check(self, claim: Claim) -> None:
        with self._lock:
            self._held(claim)

    def release(
        self,
        claim: Claim,
        *,
        state: JobState = JobState.QUEUED,
        due_at: datetime | None = None,
        reason: str = "",
        revision: int | None = None,
    ) -> None:
        with self._lock:
            record = self._held(claim)
            job = record.job
            released = state_after_release(
                state,
                is_cancelled=job.cancel_requested_at is not None,
                is_paused=job.pause_requested_at is not None,
                is_changed=revision not in (None, job.revision),
            )
            is_started = released is JobState.QUEUED or record.has_begun
            record.give_back(
                released,
                due_at=due_after_release(released, due_at, self._now()),
                reason=plain_line(reason, JOB_REASON_LENGTH),
                started_at=job.started_at if is_started else None,
                stopped_token=job.stopped_token if state is JobState.QUEUED else claim.token,
            )

    def release_all(self) -> int:
        with self._lock:
            running = [record for record in self._records.values() if record.job.state is JobState.RUNNING]
            for record in running:
                record.give_back(JobState.QUEUED, stopped_token=record.job.lease_token)
            return len(running)

    def record(self, claim: Claim, steps: Sequence[JobStep]) -> None:
        with self._lock:
            record = self._held(claim)
            changed: dict[str, dict[ImageId, Task]] = {}
            for step in steps:
                of_host = changed.get(step.host) or record.tasks.get(step.host, {})
                changed[step.host] = task_steps.after(of_host, step, claim.job_id)
            # All or nothing: for an unknown image an error was raised above.
            record.tasks.update((host, tasks) for host, tasks in changed.items() if tasks)

    def finish(self, claim: Claim, state: JobState, reason: str = "") -> Job:
        with self._lock:
            record = self._held(claim)
            check_job_transition(record.job.state, state)
            if not state.is_final:
                raise IllegalTransition("A job that is finished", record.job.state, state)
            record.end(JobState.CANCELLED if record.job.cancel_requested_at else state, self._now(), reason)
            return record.seen()

    def find(self, job_id: str) -> Job | None:
        """Return the job; None if it was removed."""
        with self._lock:
            record = self._records.get(job_id)
            return record.seen() if record else None

    def count_ended(self, before: timedelta) -> int:
        with self._lock:
            return len(self._ended(before))

    def purge(self, before: timedelta, limit: int) -> int:
        with self._lock:
            purged = self._ended(before)[:limit]
            for job_id in purged:
                del self._records[job_id]
            return len(purged)

    def note(self, progress: Sequence[TaskProgress]) -> None:
        with self._lock:
            by_host: dict[tuple[str, str], list[TaskProgress]] = {}
            for report in progress:
                by_host.setdefault((report.job_id, report.host), []).append(report)
            for (job_id, host), reports in by_host.items():
                record = self._records.get(job_id)
                if record and (of_host := record.tasks.get(host)):
                    of_host.update(task_steps.after_reports(of_host, reports, self._now()))

    def _ended(self, before: timedelta) -> list[str]:
        until = self._now() - before
        return [key for key, record in self._records.items() if (at := record.job.finished_at) and at <= until]

    def _find_repeated(self, key: IdempotencyKey) -> Job | None:
        for record in self._records.values():
            if record.idempotency_key and record.idempotency_key.digest == key.digest:
                if record.idempotency_key != key:
                    raise IdempotencyKeyReused(record.job.id)
                return record.seen()
        return None

    def _get(self, job_id: str) -> _Record:
        try:
            return self._records[job_id]
        except KeyError:
            raise JobNotFound(job_id) from None

    def _held(self, claim: Claim) -> _Record:
        record = self._get(claim.job_id)
        held = (record.job.state, record.job.lease_owner, record.job.lease_token)
        if held != (JobState.RUNNING, claim.owner, claim.token):
            raise LeaseLost(claim.job_id, claim.owner)
        return record


def _sort_value(job: Job, key: JobSortKey) -> Any:
    match key:
        case JobSortKey.CREATED_AT:
            return job.created_at
        case JobSortKey.PRIORITY:
            return job.options.priority
        case JobSortKey.STATE:
            return job.state.value
        case JobSortKey.FINISHED_AT:
            return job.finished_at is None, job.finished_at or job.created_at


def _is_free(job: Job, now: datetime) -> bool:
    if job.state is JobState.RUNNING:
        return job.lease_until is not None and job.lease_until <= now
    if job.state in (JobState.WAITING, JobState.PAUSED):
        return job.due_at is not None and job.due_at <= now
    return job.state is JobState.QUEUED
