"""Claim a job, and record the results of its tasks.

A claim locks the row of the job, or skips the job if another transaction holds the row. Every later step first locks
the job's row and compares the fencing token.

A step whose confirmation was lost is repeated, unless the store shows that it was made: a repeated claim would take a
second job, and a repeated end would raise LeaseLost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update

from precache.adapters.jobs_sql.counts import count_again
from precache.adapters.jobs_sql.host_tasks import load_host_tasks, save_host_tasks
from precache.adapters.jobs_sql.rows import load_job, load_jobs, load_remaining
from precache.adapters.jobs_sql.states import change_state
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import job_calls, jobs, tasks
from precache.core.errors import ChangeUncertain, IllegalTransition, JobNotFound, LeaseLost
from precache.core.images import ImageId
from precache.core.jobs import Claim, Job, JobState, JobStep, Phase, Task, TaskState, check_job_transition
from precache.core.text import JOB_REASON_LENGTH, plain_line
from precache.ports.job_store import RemainingTasks
from precache.rules import task_steps
from precache.rules.release import due_after_release, state_after_release

_CANDIDATES = 50
"""The most free jobs that one claim tries, in their order. It skips only jobs whose rows are locked."""


class SqlJobClaims:
    """The port `JobClaims`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def claim(self, owner: str, lease: timedelta, *, skip: Collection[str] = (), least_priority: int = 0) -> Job | None:
        try:
            return self._claim(owner, lease, skip, least_priority)
        except ChangeUncertain:
            # The caller names all of its jobs, so a further job of this owner is the one that this claim took.
            is_this = (jobs.c.lease_owner == owner) & (jobs.c.state == JobState.RUNNING) & jobs.c.id.not_in(skip)
            return self._find(is_this) or self._claim(owner, lease, skip, least_priority)

    @repeatable
    def _claim(self, owner: str, lease: timedelta, skip: Collection[str], least_priority: int) -> Job | None:
        is_free = self._is_free()
        is_wanted = and_(is_free, jobs.c.id.not_in(skip))
        if least_priority:
            # Permits of a job that was released may use up a limit, and so hold up those that have the slots.
            has_permits = jobs.c.number.in_(select(job_calls.c.job))
            is_wanted = and_(is_wanted, or_(jobs.c.priority >= least_priority, has_permits))
        order = (jobs.c.priority.desc(), jobs.c.created_at, jobs.c.number)
        first = select(jobs.c.number, jobs.c.state).where(is_wanted).order_by(*order).limit(_CANDIDATES)
        with self._database.write() as connection:
            for number, state in connection.execute(first).all():
                this = select(jobs.c.lease_token).where(jobs.c.number == number, is_free)
                last_token: int | None = connection.scalar(this.with_for_update(skip_locked=True))
                if last_token is None:
                    continue  # Another owner was faster, or a halted process holds the row.
                self._take(connection, number, owner, lease, last_token + 1)
                if state is JobState.RUNNING:
                    _put_back_tasks(connection, number)
                return load_job(connection, number)
        return None

    def _is_free(self) -> ColumnElement[bool]:
        now = self._database.now()
        expired = and_(jobs.c.state == JobState.RUNNING, jobs.c.lease_until <= now)
        due = and_(jobs.c.state.in_([JobState.WAITING, JobState.PAUSED]), jobs.c.due_at <= now)
        return or_(jobs.c.state == JobState.QUEUED, expired, due)

    def _take(self, connection: Connection, number: int, owner: str, lease: timedelta, token: int) -> None:
        """Claim the job, whose row this transaction holds. token: the fencing token of this claim."""
        change_state(
            connection,
            jobs.c.number == number,
            JobState.RUNNING,
            at=self._database.now(),
            lease_owner=owner,
            lease_until=self._database.now(lease),
            lease_token=token,
            operation_token=token,
            started_at=func.coalesce(jobs.c.started_at, self._database.now()),
            due_at=None,
            reason="",
        )

    @repeatable
    def remaining(self, claim: Claim) -> RemainingTasks:
        with self._database.read() as connection:
            return load_remaining(connection, _find_held(connection, claim))

    @repeatable
    def check(self, claim: Claim) -> None:
        with self._database.read(is_one_statement=True) as connection:
            _find_held(connection, claim)

    def release(
        self,
        claim: Claim,
        *,
        state: JobState = JobState.QUEUED,
        due_at: datetime | None = None,
        reason: str = "",
        revision: int | None = None,
    ) -> None:
        try:
            self._release(claim, state, due_at, reason, revision)
        except ChangeUncertain:
            with suppress(LeaseLost):
                self._release(claim, state, due_at, reason, revision)

    @repeatable
    def _release(
        self, claim: Claim, wanted: JobState, due_at: datetime | None, reason: str, revision: int | None
    ) -> None:
        with self._database.write() as connection:
            number = _hold(connection, claim)
            requests = select(
                jobs.c.cancel_requested_at,
                jobs.c.pause_requested_at,
                jobs.c.revision,
                self._database.now().label("now"),
            ).where(jobs.c.number == number)
            job = connection.execute(requests).one()
            state = state_after_release(
                wanted,
                is_cancelled=job.cancel_requested_at is not None,
                is_paused=job.pause_requested_at is not None,
                is_changed=revision not in (None, job.revision),
            )
            is_started = state is JobState.QUEUED or _has_begun(connection, number)
            _give_back(
                connection,
                jobs.c.number == number,
                state,
                at=self._database.now(),
                due_at=due_after_release(state, due_at, job.now),
                reason=plain_line(reason, JOB_REASON_LENGTH),
                **{} if is_started else {"started_at": None},
                **{} if wanted is JobState.QUEUED else {"stopped_token": claim.token},
            )
            _put_back_tasks(connection, number)

    @idempotent
    def release_all(self) -> int:
        with self._database.write() as connection:
            running = select(jobs.c.number).where(jobs.c.state == JobState.RUNNING)
            for number in connection.scalars(running).all():
                _put_back_tasks(connection, number)
            connection.execute(delete(job_calls))  # the hosts have ended with the process
            is_running, now = jobs.c.state == JobState.RUNNING, self._database.now()
            return _give_back(connection, is_running, JobState.QUEUED, at=now, stopped_token=jobs.c.lease_token)

    @idempotent
    def record(self, claim: Claim, steps: Sequence[JobStep]) -> None:
        with self._database.write() as connection:
            number = _hold(connection, claim)
            held = load_host_tasks(connection, claim.job_id, number, {step.host for step in steps})
            changed: dict[str, dict[ImageId, Task]] = {}
            for step in steps:
                of_host = changed.get(step.host) or held.of_host(step.host)
                changed[step.host] = task_steps.after(of_host, step, claim.job_id)
            save_host_tasks(connection, number, held, changed)

    def finish(self, claim: Claim, state: JobState, reason: str = "") -> Job:
        try:
            return self._finish(claim, state, reason)
        except ChangeUncertain:
            try:
                return self._finish(claim, state, reason)
            except LeaseLost:
                is_this = (jobs.c.id == claim.job_id) & jobs.c.state.in_([state, JobState.CANCELLED])
                is_this &= jobs.c.lease_token == claim.token
                if (finished := self._find(is_this)) is None:
                    raise
                return finished

    @repeatable
    def _finish(self, claim: Claim, state: JobState, reason: str) -> Job:
        with self._database.write() as connection:
            number = _hold(connection, claim)
            check_job_transition(JobState.RUNNING, state)
            if not state.is_final:
                raise IllegalTransition("A job that is finished", JobState.RUNNING, state)
            is_cancelled = select(jobs.c.cancel_requested_at.is_not(None)).where(jobs.c.number == number)
            final = JobState.CANCELLED if connection.scalar(is_cancelled) else state
            end_job(connection, number, final, self._database.now(), plain_line(reason, JOB_REASON_LENGTH))
            return load_job(connection, number)

    @repeatable
    def _find(self, condition: ColumnElement[bool]) -> Job | None:
        with self._database.read() as connection:
            return next(iter(load_jobs(connection, select(jobs).where(condition))), None)


def is_held(claim: Claim) -> ColumnElement[bool]:
    """Return the SQL condition that this is the last claim of the job and the job runs.

    The owner is compared as well, because the previous release claims jobs without a new token.
    """
    return and_(
        jobs.c.id == claim.job_id,
        jobs.c.state == JobState.RUNNING,
        jobs.c.lease_owner == claim.owner,
        jobs.c.lease_token == claim.token,
    )


def end_job(
    connection: Connection, number: int, state: JobState, now: ColumnElement[datetime], reason: str = ""
) -> None:
    """Set the final state of the job, whose row this transaction holds, and count its tasks for the last time."""
    count_again(connection, number)
    final: dict[str, Any] = {
        "finished_at": now,
        "lease_owner": None,
        "lease_until": None,
        "stopped_token": jobs.c.lease_token,
        "due_at": None,
    }
    change_state(connection, jobs.c.number == number, state, at=now, reason=reason, **final)


def _hold(connection: Connection, claim: Claim) -> int:
    """Lock the job's row until the end of the transaction; return its key. Raises JobNotFound, LeaseLost."""
    return _find_held(connection, claim, is_locked=True)


def _find_held(connection: Connection, claim: Claim, *, is_locked: bool = False) -> int:
    """Return the key of the job. Raises JobNotFound, LeaseLost."""
    statement = select(jobs.c.number, is_held(claim).label("is_held")).where(jobs.c.id == claim.job_id)
    job = connection.execute(statement.with_for_update() if is_locked else statement).first()
    if job is None:
        raise JobNotFound(claim.job_id)
    if not job.is_held:
        raise LeaseLost(claim.job_id, claim.owner)
    number: int = job.number
    return number


def _give_back(connection: Connection, which: ColumnElement[bool], state: JobState, **more: Any) -> int:
    """Set the state of running jobs and drop their leases; return how many."""
    check_job_transition(JobState.RUNNING, state)
    return change_state(connection, which, state, lease_owner=None, lease_until=None, **more)


def _has_begun(connection: Connection, number: int) -> bool:
    """Return whether a host was called for the job, or a task has ended."""
    begun = select(tasks.c.job).where(
        tasks.c.job == number, or_(tasks.c.state != TaskState.WAITING, tasks.c.attempts > 0)
    )
    return connection.scalar(begun.limit(1)) is not None


def _put_back_tasks(connection: Connection, number: int) -> None:
    """Apply `task_steps.put_back` to all running tasks of the job with one statement, and count its tasks again."""
    waiting = {
        "state": TaskState.WAITING,
        "phase": Phase.WAITING,
        "bytes_done": 0,
        "bytes_total": 0,
        "started_at": None,
        "reported_at": None,
        "rate_bytes_per_s": None,
        "parent": None,
        "bytes_image_service": tasks.c.earlier_image_service,
        "bytes_hosts": tasks.c.earlier_hosts,
        "bytes_cache": tasks.c.earlier_cache,
    }
    running = (tasks.c.job == number) & (tasks.c.state == TaskState.RUNNING)
    connection.execute(update(tasks).where(running).values(waiting))
    count_again(connection, number)
