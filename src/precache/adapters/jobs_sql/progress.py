"""Keep the latest word of the hosts on their running tasks."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.tables import job_hosts, job_images, jobs, tasks
from precache.core.jobs import JobState, TaskProgress, TaskState


class SqlProgressLog:
    """The port `ProgressLog`. A power cut may undo the last reports."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def note(self, progress: Sequence[TaskProgress]) -> None:
        latest = {(report.job_id, report.host, report.image): report for report in progress}
        if not latest:
            return
        with self._database.write(is_forgettable=True) as connection:
            running = _hold_running(connection, sorted({job_id for job_id, _, _ in latest}))
            values = [
                {
                    "the_job": running[report.job_id],
                    "the_host": report.host,
                    "the_image": report.image,
                    "new_phase": report.phase,
                    "new_done": report.bytes_done,
                    "new_total": report.bytes_total,
                }
                for report in latest.values()
                if report.job_id in running
            ]
            if values:
                connection.execute(_NOTE, values)


def _hold_running(connection: Connection, job_ids: Sequence[str]) -> dict[str, int]:
    """Lock those of the jobs that run, in the order of their numbers, and give the numbers."""
    running: dict[str, int] = {}
    for batch in batches(job_ids):
        statement = select(jobs.c.id, jobs.c.number).where(jobs.c.id.in_(batch), jobs.c.state == JobState.RUNNING)
        for row in connection.execute(statement.order_by(jobs.c.number).with_for_update()):
            running[row.id] = row.number
    return running


_OF_HOST = select(job_hosts.c.position).where(
    job_hosts.c.job == bindparam("the_job"), job_hosts.c.host == bindparam("the_host")
)
_OF_IMAGE = select(job_images.c.position).where(
    job_images.c.job == bindparam("the_job"), job_images.c.image == bindparam("the_image")
)
_NOTE = (
    update(tasks)
    .where(tasks.c.job == bindparam("the_job"))
    .where(tasks.c.host_position == _OF_HOST.scalar_subquery())
    .where(tasks.c.image_position == _OF_IMAGE.scalar_subquery())
    .where(tasks.c.state == TaskState.RUNNING)
    .values(phase=bindparam("new_phase"), bytes_done=bindparam("new_done"), bytes_total=bindparam("new_total"))
)
