"""Jobs and tasks as the API shows them. The OpenAPI document has the list of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from precache.api.schemas.document import Document
from precache.core.jobs import Job, Task, TaskState


class JobViews:
    """Turns a job or a task into the object that the document describes.

    A field of the schemas `Job` and `Task` is the attribute of the same name, unless it is computed here.
    """

    def __init__(self, document: Document) -> None:
        schemas = document["components"]["schemas"]
        self._job_fields, self._task_fields = tuple(schemas["Job"]["properties"]), tuple(schemas["Task"]["properties"])

    def job(self, job: Job) -> dict[str, Any]:
        computed = {
            "target": job.target.document(),
            "aggregate": _aggregate(job) if job.is_for_one_aggregate else None,
            "host": job.for_host,
            "orders": [order.document() for order in job.orders],
        }
        return _view(job, self._job_fields, computed)

    def task(self, task: Task) -> dict[str, Any]:
        is_running = task.state is TaskState.RUNNING
        return _view(task, self._task_fields, {"phase": task.phase.value if is_running else None})


def _view(record: Job | Task, fields: tuple[str, ...], computed: Mapping[str, Any]) -> dict[str, Any]:
    return {field: computed[field] if field in computed else _plain(getattr(record, field)) for field in fields}


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it."""
    match value:
        case None | int():
            return value
        case StrEnum():
            return value.value
        case datetime():
            return rfc3339(value)
        case dict():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case tuple():
            return [_plain(each) for each in value]
    return value


def _aggregate(job: Job) -> dict[str, Any]:
    return {"id": job.aggregate_id, "uuid": job.aggregate_uuid, "name": job.aggregate_name}


def rfc3339(instant: datetime | None) -> str | None:
    """Return the instant in UTC with microseconds, as everywhere below `/v1`."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
