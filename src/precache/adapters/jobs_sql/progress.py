"""Store the latest report of the hosts on their running tasks.

One statement for each job, which commits by itself and locks no job's row: a halted process holds no lock for which
another one waits. The wait for a row that a conductor holds, because it stores an outcome, ends by the limits of the
database.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, text

from precache.adapters.jobs_sql.host_tasks import load_host_tasks
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import job_images, jobs, tasks
from precache.adapters.sql.types import Instant
from precache.core.jobs import JobState, Task, TaskProgress
from precache.rules.task_steps import after_reports

_REPORTED_AT = bindparam("reported_at", type_=Instant())

_SAME_RUN = """tasks.job = :job AND tasks.host_position = new.host_position
AND tasks.image_position = new.image_position AND tasks.state = 'running' AND tasks.attempts = new.attempts"""
"""The condition that the task still runs, for the same call of its host as when the report was checked."""

_ON_POSTGRESQL = text(f"""
UPDATE tasks SET phase = new.phase, bytes_done = new.bytes_done, bytes_total = new.bytes_total,
    rate_bytes_per_s = new.rate_bytes_per_s, reported_at = :reported_at, parent = NULLIF(new.parent, ''),
    bytes_image_service = new.bytes_image_service, bytes_hosts = new.bytes_hosts, bytes_cache = new.bytes_cache
FROM json_to_recordset(CAST(:reports AS json)) AS new (host_position int, image_position int, attempts int,
    phase text, bytes_done bigint, bytes_total bigint, rate_bytes_per_s bigint, parent text,
    bytes_image_service bigint, bytes_hosts bigint, bytes_cache bigint)
WHERE {_SAME_RUN}""").bindparams(_REPORTED_AT)  # noqa: S608  constants

# The reports come first, so that the database finds the task of each by its key.
_ON_MARIADB = text(f"""
UPDATE JSON_TABLE(:reports, '$[*]' COLUMNS (host_position INT PATH '$.host_position',
    image_position INT PATH '$.image_position', attempts INT PATH '$.attempts', phase VARCHAR(32) PATH '$.phase',
    bytes_done BIGINT PATH '$.bytes_done', bytes_total BIGINT PATH '$.bytes_total',
    rate_bytes_per_s BIGINT PATH '$.rate_bytes_per_s', parent VARCHAR(255) PATH '$.parent',
    bytes_image_service BIGINT PATH '$.bytes_image_service', bytes_hosts BIGINT PATH '$.bytes_hosts',
    bytes_cache BIGINT PATH '$.bytes_cache')) AS new
STRAIGHT_JOIN tasks ON {_SAME_RUN}
SET tasks.phase = new.phase, tasks.bytes_done = new.bytes_done, tasks.bytes_total = new.bytes_total,
    tasks.rate_bytes_per_s = new.rate_bytes_per_s, tasks.reported_at = :reported_at,
    tasks.parent = NULLIF(new.parent, ''), tasks.bytes_image_service = new.bytes_image_service,
    tasks.bytes_hosts = new.bytes_hosts, tasks.bytes_cache = new.bytes_cache""").bindparams(_REPORTED_AT)  # noqa: S608

# SQLite runs in this process, so that a statement for each row is cheap.
_ON_SQLITE = text("""
UPDATE tasks SET phase = :phase, bytes_done = :bytes_done, bytes_total = :bytes_total,
    rate_bytes_per_s = :rate_bytes_per_s, reported_at = :reported_at, parent = NULLIF(:parent, ''),
    bytes_image_service = :bytes_image_service, bytes_hosts = :bytes_hosts, bytes_cache = :bytes_cache
WHERE job = :job AND host_position = :host_position AND image_position = :image_position
AND state = 'running' AND attempts = :attempts""").bindparams(_REPORTED_AT)


class SqlProgressLog:
    """The port `ProgressLog`. A power cut may undo the last reports.

    database: with the limits for leases, so that reports do not wait long for a locked row.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def note(self, progress: Sequence[TaskProgress]) -> None:
        by_job: defaultdict[str, list[TaskProgress]] = defaultdict(list)
        for report in progress:
            by_job[report.job_id].append(report)
        if not by_job:
            return
        with self._database.write_singly() as connection:
            for job_id, number, now in self._running(connection, sorted(by_job)):
                _note_one_job(connection, job_id, number, by_job[job_id], now)

    def _running(self, connection: Connection, job_ids: Sequence[str]) -> list[tuple[str, int, datetime]]:
        """Return the ids and the numbers of the running ones among the jobs, each with the store's time."""
        columns = (jobs.c.id, jobs.c.number, self._database.now().label("now"))
        running: list[tuple[str, int, datetime]] = []
        for batch in batches(job_ids):
            statement = select(*columns).where(jobs.c.id.in_(batch), jobs.c.state == JobState.RUNNING)
            running += [(row.id, row.number, row.now) for row in connection.execute(statement)]
        return running


def _note_one_job(
    connection: Connection, job_id: str, number: int, progress: Sequence[TaskProgress], now: datetime
) -> None:
    by_host: defaultdict[str, list[TaskProgress]] = defaultdict(list)
    for report in progress:
        by_host[report.host].append(report)
    # Of the tens of images of a job, a host downloads one: the reported ones, and the one before, which has a rate.
    is_reported = job_images.c.image.in_({report.image for report in progress})
    may_change = or_(is_reported, tasks.c.rate_bytes_per_s.is_not(None))
    held = load_host_tasks(connection, job_id, number, by_host.keys(), may_change)
    changed = {
        held.place(task): task
        for host, reports in by_host.items()
        for task in after_reports(held.of_host(host), reports, now).values()
    }
    if changed:
        _update(connection, number, changed, now)


def _update(connection: Connection, number: int, changed: Mapping[tuple[int, int], Task], now: datetime) -> None:
    """Write what hosts report on the tasks, by their positions, if the task still runs as it was read."""
    reports = [_report(place, task) for place, task in sorted(changed.items(), key=itemgetter(0))]
    backend = connection.dialect.name
    if backend == "sqlite":
        connection.execute(_ON_SQLITE, [{"job": number, "reported_at": now, **report} for report in reports])
        return
    statement = _ON_POSTGRESQL if backend == "postgresql" else _ON_MARIADB
    connection.execute(statement, {"job": number, "reports": json.dumps(reports), "reported_at": now})


def _report(place: tuple[int, int], task: Task) -> dict[str, Any]:
    return {
        "host_position": place[0],
        "image_position": place[1],
        "attempts": task.attempts,
        "phase": task.phase.value,
        "bytes_done": task.bytes_done,
        "bytes_total": task.bytes_total,
        "rate_bytes_per_s": task.rate_bytes_per_s,
        "parent": task.parent or "",
        "bytes_image_service": task.bytes_image_service,
        "bytes_hosts": task.bytes_hosts,
        "bytes_cache": task.bytes_cache,
    }
