"""Jobs and their tasks, to look at."""

from __future__ import annotations

from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.instants import rfc3339
from precache.api.refusals import InvalidRequest
from precache.core.errors import InvalidImageId, JobNotFound
from precache.core.images import parse_image_id
from precache.core.jobs import Job, JobState, Task, TaskState
from precache.ports.job_store import JobQueries


class Jobs:
    """One method per operation."""

    def __init__(self, *, queries: JobQueries) -> None:
        self._queries = queries

    def index(self, call: Call) -> Answer:
        """List jobs, newest first, a page at a time: `marker` is the last id of the page before."""
        state = call.query.get("state")
        marker = call.query.get("marker")
        try:
            jobs = self._queries.list_jobs(
                state=None if state is None else JobState(state),
                limit=call.query.get("limit", 1000),
                marker=None if marker is None else _job_id(marker),
            )
        except JobNotFound as error:
            raise InvalidRequest(f"Invalid input for query parameters marker. Value: {marker}. {error}") from error
        return Answer({"jobs": [_job_view(job) for job in jobs]})

    def show(self, call: Call) -> Answer:
        return Answer({"job": _job_view(self._queries.get(_job_id(call.params["job_id"])))})

    def tasks(self, call: Call) -> Answer:
        tasks = self._queries.tasks(_job_id(call.params["job_id"]))
        return Answer({"tasks": [_task_view(task) for task in tasks]})


def _job_id(text: str) -> str:
    """Give the id as it was made. Raises JobNotFound for what cannot be one, so that no store has to cope with it."""
    try:
        return parse_image_id(text)
    except InvalidImageId as error:
        raise JobNotFound(text) from error


def _job_view(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "aggregate": {"id": job.aggregate_id, "uuid": job.aggregate_uuid, "name": job.aggregate_name},
        "images": list(job.images),
        "requested_by": job.requested_by,
        "request_id": job.request_id,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "task_count": job.task_count,
        "counts": {outcome.value: number for outcome, number in job.counts.items()},
    }


def _task_view(task: Task) -> dict[str, Any]:
    return {
        "job_id": task.job_id,
        "host": task.host,
        "cell": task.cell,
        "image": task.image,
        "state": task.state.value,
        "outcome": None if task.outcome is None else task.outcome.value,
        "phase": task.phase.value if task.state is TaskState.RUNNING else None,
        "bytes_done": task.bytes_done,
        "bytes_total": task.bytes_total,
        "attempts": task.attempts,
        "reason": task.reason,
        "started_at": rfc3339(task.started_at),
        "finished_at": rfc3339(task.finished_at),
    }
