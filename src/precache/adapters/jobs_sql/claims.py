"""Own a job for a while, and record what becomes of its tasks.

A claim is decided by one UPDATE that repeats its own condition: of two owners who saw the same job, one changes a
row and the other none. Every later step first locks the job's row and looks whether it is still ours.

A step whose confirmation was lost is done again, unless it is seen to have been made: a claim would take a second job,
an end would find the job no longer ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, insert, literal, or_, select, update

from precache.adapters.jobs_sql.host_tasks import load_host_tasks, save_host_tasks
from precache.adapters.jobs_sql.rows import count_outcomes, load_job, load_jobs
from precache.adapters.sql import Database
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import job_outcomes, jobs, tasks
from precache.core.errors import ChangeUncertain, IllegalTransition, JobNotFound, LeaseLost
from precache.core.images import ImageId
from precache.core.jobs import Job, JobState, JobStep, Phase, Task, TaskState, check_job_transition
from precache.rules import task_steps


class SqlJobClaims:
    """The port `JobClaims`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def claim(self, owner: str, now: datetime, lease: timedelta) -> Job | None:
        try:
            return self._claim(owner, now, lease)
        except ChangeUncertain:
            # An extended lease of the same owner ends at another instant.
            is_this = (jobs.c.lease_owner == owner) & (jobs.c.lease_until == now + lease)
            return self._find(is_this & (jobs.c.state == JobState.RUNNING)) or self._claim(owner, now, lease)

    @repeatable
    def _claim(self, owner: str, now: datetime, lease: timedelta) -> Job | None:
        is_free = _is_free(now)
        oldest = select(jobs.c.number).where(is_free).order_by(jobs.c.created_at, jobs.c.number).limit(1)
        taken = {
            "state": JobState.RUNNING,
            "lease_owner": owner,
            "lease_until": now + lease,
            "started_at": func.coalesce(jobs.c.started_at, literal(now, jobs.c.started_at.type)),
        }
        while True:
            with self._database.write() as connection:
                number = connection.scalar(oldest)
                if number is None:
                    return None
                claimed = connection.execute(update(jobs).where(jobs.c.number == number, is_free).values(taken))
                if claimed.rowcount == 1:
                    _put_back_tasks(connection, tasks.c.job == number)
                    return load_job(connection, number)
            # Another owner was faster, so one job fewer is free: this ends.

    @idempotent
    def extend(self, job_id: str, owner: str, now: datetime, lease: timedelta) -> None:
        with self._database.write() as connection:
            held = _hold(connection, job_id, owner)
            connection.execute(update(jobs).where(jobs.c.number == held.number).values(lease_until=now + lease))

    def release(self, job_id: str, owner: str) -> None:
        try:
            self._release(job_id, owner)
        except ChangeUncertain:
            with suppress(LeaseLost):
                self._release(job_id, owner)

    @repeatable
    def _release(self, job_id: str, owner: str) -> None:
        with self._database.write() as connection:
            held = _hold(connection, job_id, owner)
            check_job_transition(held.state, JobState.QUEUED)
            _queue_again(connection, jobs.c.number == held.number)
            _put_back_tasks(connection, tasks.c.job == held.number)

    @idempotent
    def release_all(self) -> int:
        with self._database.write() as connection:
            running = select(jobs.c.number).where(jobs.c.state == JobState.RUNNING)
            _put_back_tasks(connection, tasks.c.job.in_(running))
            return _queue_again(connection, jobs.c.state == JobState.RUNNING)

    @idempotent
    def record(self, job_id: str, owner: str, steps: Sequence[JobStep]) -> None:
        with self._database.write() as connection:
            number = _hold(connection, job_id, owner).number
            held = load_host_tasks(connection, job_id, number, {step.host for step in steps})
            changed: dict[str, dict[ImageId, Task]] = {}
            for step in steps:
                of_host = changed.get(step.host) or held.of_host(step.host)
                changed[step.host] = task_steps.after(of_host, step, job_id)
            save_host_tasks(connection, number, held, changed)

    def finish(self, job_id: str, owner: str, state: JobState, now: datetime) -> Job:
        try:
            return self._finish(job_id, owner, state, now)
        except ChangeUncertain:
            try:
                return self._finish(job_id, owner, state, now)
            except LeaseLost:
                is_this = (jobs.c.id == job_id) & (jobs.c.state == state) & (jobs.c.finished_at == now)
                if (finished := self._find(is_this)) is None:
                    raise
                return finished

    @repeatable
    def _finish(self, job_id: str, owner: str, state: JobState, now: datetime) -> Job:
        with self._database.write() as connection:
            held = _hold(connection, job_id, owner)
            check_job_transition(held.state, state)
            if not state.is_final:
                raise IllegalTransition("A job that is finished", held.state, state)
            counts = count_outcomes(tasks.c.job == held.number)
            connection.execute(insert(job_outcomes).from_select(["job", "outcome", "tasks"], counts))
            final = {"state": state, "finished_at": now, "lease_owner": None, "lease_until": None}
            connection.execute(update(jobs).where(jobs.c.number == held.number).values(final))
            return load_job(connection, held.number)

    @repeatable
    def _find(self, condition: ColumnElement[bool]) -> Job | None:
        with self._database.read() as connection:
            return next(iter(load_jobs(connection, select(jobs).where(condition))), None)


class _Held(NamedTuple):
    number: int
    state: JobState


def _is_free(now: datetime) -> ColumnElement[bool]:
    expired = and_(jobs.c.state == JobState.RUNNING, jobs.c.lease_until <= now)
    return or_(jobs.c.state == JobState.QUEUED, expired)


def _hold(connection: Connection, job_id: str, owner: str) -> _Held:
    """Lock the job's row until the end of the transaction. Raises JobNotFound, LeaseLost."""
    statement = select(jobs.c.number, jobs.c.state, jobs.c.lease_owner).where(jobs.c.id == job_id)
    job = connection.execute(statement.with_for_update()).first()
    if job is None:
        raise JobNotFound(job_id)
    if job.state is not JobState.RUNNING or job.lease_owner != owner:
        raise LeaseLost(job_id, owner)
    return _Held(job.number, job.state)


def _queue_again(connection: Connection, which: ColumnElement[bool]) -> int:
    queued = {"state": JobState.QUEUED, "lease_owner": None, "lease_until": None}
    return connection.execute(update(jobs).where(which).values(queued)).rowcount


def _put_back_tasks(connection: Connection, which: ColumnElement[bool]) -> None:
    """Do to all running tasks at once what `task_steps.put_back` does to one."""
    waiting = {
        "state": TaskState.WAITING,
        "phase": Phase.WAITING,
        "bytes_done": 0,
        "bytes_total": 0,
        "started_at": None,
    }
    connection.execute(update(tasks).where(which, tasks.c.state == TaskState.RUNNING).values(waiting))
