"""Jobs and tasks as the API shows them. The OpenAPI document has the list of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from precache.api.schemas.document import Document
from precache.core.job_hosts import HostProgress
from precache.core.job_options import JobOptions
from precache.core.job_progress import Progress
from precache.core.jobs import Job, Task, TaskState
from precache.core.operations import Operation
from precache.rules.webhook_urls import host_of


class JobViews:
    """Turns a job or a task into the object that the document describes.

    A field of the schemas `Job` and `Task` is the attribute of the same name, unless it is computed here.
    """

    def __init__(self, document: Document) -> None:
        schemas = document["components"]["schemas"]
        self._task_fields = tuple(schemas["Task"]["properties"])
        self._host_fields = tuple(schemas["JobHost"]["properties"])
        fields_of_one = schemas["OneJob"]["properties"]["job"]["required"]
        self._listed_fields = tuple(field for field in schemas["Job"]["properties"] if field not in fields_of_one)
        by_image = schemas["Job"]["properties"]["by_image"]["items"]["properties"]
        self._progress_fields = tuple(field for field in by_image if field not in ("image", "size_bytes"))

    def job(self, job: Job) -> dict[str, Any]:
        return self.listed_job(job) | {
            "target": job.target.document(),
            "orders": [order.document() for order in job.orders],
            "by_image": [
                {"image": each.image, "size_bytes": each.size_bytes} | self._progress(each.progress)
                for each in job.by_image
            ],
        }

    def listed_job(self, job: Job) -> dict[str, Any]:
        """Return the job without what may be large: the names of its target, its orders, and the progress by image."""
        computed = {
            "aggregate": _aggregate(job) if job.is_for_one_aggregate else None,
            "host": job.for_host,
            **_options(job),
            **self._progress(job.progress),
            "bytes_from": job.progress.bytes_from.document() if job.operation is Operation.CACHE else None,
        }
        return _view(job, self._listed_fields, computed)

    def host(self, host: HostProgress) -> dict[str, Any]:
        return _view(host, self._host_fields, self._progress(host.progress))

    def _progress(self, progress: Progress) -> dict[str, Any]:
        return _view(progress, self._progress_fields, {})

    def task(self, task: Task) -> dict[str, Any]:
        is_running = task.state is TaskState.RUNNING
        bytes_from = None if task.bytes_hosts is None else task.bytes_from.document()
        computed = {"phase": task.phase.value if is_running else None, "bytes_from": bytes_from}
        return _view(task, self._task_fields, computed)


def _view(
    record: Job | Task | HostProgress | Progress, fields: tuple[str, ...], computed: Mapping[str, Any]
) -> dict[str, Any]:
    return {field: computed[field] if field in computed else _plain(getattr(record, field)) for field in fields}


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it."""
    if type(value) is str:  # most values of long lists; an enum is another type
        return value
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


def _options(job: Job) -> dict[str, Any]:
    """Return all options of the job in the form of a request, but its times in that of the answers, and no secret."""
    options, url = job.options, job.options.notify_url
    computed = {
        "not_before": rfc3339(options.not_before),
        "deadline": rfc3339(options.deadline),
        "notify_url": None if url is None else host_of(url),
    }
    defaults = {option.name: _plain(option.default) for option in fields(JobOptions)}
    return defaults | options.document() | computed


def _aggregate(job: Job) -> dict[str, Any]:
    return {"id": job.aggregate_id, "uuid": job.aggregate_uuid, "name": job.aggregate_name}


def rfc3339(instant: datetime | None) -> str | None:
    """Return the instant in UTC with microseconds, as everywhere below `/v1`."""
    return (
        None if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
