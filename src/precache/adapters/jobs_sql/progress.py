"""Keep the latest word of the hosts on their running tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select

from precache.adapters.jobs_sql.host_tasks import load_host_tasks, save_host_tasks
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import jobs
from precache.core.images import ImageId
from precache.core.jobs import JobState, Task, TaskProgress
from precache.rules.task_steps import progressed


class SqlProgressLog:
    """The port `ProgressLog`. A power cut may undo the last reports."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def note(self, progress: Sequence[TaskProgress]) -> None:
        by_job: defaultdict[str, list[TaskProgress]] = defaultdict(list)
        for report in progress:
            by_job[report.job_id].append(report)
        if not by_job:
            return
        with self._database.write(is_forgettable=True) as connection:
            for job_id, number in _hold_running(connection, sorted(by_job)).items():
                _note_one_job(connection, job_id, number, by_job[job_id])


def _hold_running(connection: Connection, job_ids: Sequence[str]) -> dict[str, int]:
    """Lock those of the jobs that run, in the order of their numbers, and give the numbers."""
    running: dict[str, int] = {}
    for batch in batches(job_ids):
        statement = select(jobs.c.id, jobs.c.number).where(jobs.c.id.in_(batch), jobs.c.state == JobState.RUNNING)
        for row in connection.execute(statement.order_by(jobs.c.number).with_for_update()):
            running[row.id] = row.number
    return running


def _note_one_job(connection: Connection, job_id: str, number: int, progress: Sequence[TaskProgress]) -> None:
    held = load_host_tasks(connection, job_id, number, {report.host for report in progress})
    changed: defaultdict[str, dict[ImageId, Task]] = defaultdict(dict)
    for report in progress:
        task = held.of_host(report.host).get(report.image)
        if task is not None and (now := progressed(task, report)) is not task:
            changed[report.host][report.image] = now
    save_host_tasks(connection, number, held, changed)
