"""Makes, lists, shows and steers jobs; lists their tasks."""

from __future__ import annotations

from collections.abc import Callable

from precache.api.calls import Answer, Call
from precache.api.handlers.job_filters import bad_query, host_filter, image_id, job_filter, job_sort, task_filter
from precache.api.handlers.job_ids import parse_job_id
from precache.api.handlers.job_plans import JobPlans
from precache.api.handlers.job_requests import JobRequests
from precache.api.handlers.job_targets import JobTargets
from precache.api.handlers.pages import page
from precache.api.handlers.views import JobViews
from precache.api.refusals import MalformedHeader
from precache.core.errors import HostNotFound, JobNotFound, TaskNotFound
from precache.core.idempotency import KEY_RULE, IdempotencyKey, is_idempotency_key
from precache.core.job_changes import JobChange
from precache.core.job_hosts import HostProgress
from precache.core.jobs import Job, Task
from precache.ports.job_store import JobQueries, JobSteering, TaskKey


class Jobs:
    """One method per operation.

    wake: tells conductors that there is a request to cancel; never raises, never blocks.
    """

    def __init__(
        self,
        *,
        queries: JobQueries,
        steering: JobSteering,
        requests: JobRequests,
        plans: JobPlans,
        targets: JobTargets,
        views: JobViews,
        wake: Callable[[], None],
    ) -> None:
        self._queries = queries
        self._steering = steering
        self._requests = requests
        self._plans = plans
        self._targets = targets
        self._views = views
        self._wake = wake

    def create(self, call: Call) -> Answer:
        """Accept a job. Nothing is stored unless every check has passed.

        A repeated request returns the existing job, even if the same checks would fail now. With `dry_run` the answer
        is the plan of the job, after the same checks, and nothing is stored at all.
        """
        body, key, is_dry_run = call.body, _idempotency_key(call), call.query.get("dry_run", False)
        repeated = None if key is None else self._requests.find_repeated(key)
        if repeated is not None and not is_dry_run:
            return self._accepted(call, repeated)
        work = self._requests.checked_work(body)
        options = self._requests.checked_options(body)
        fields = self._targets.fields(body["target"])
        fields |= {"name": body.get("name")}
        if is_dry_run:
            planned = self._requests.checked_job(call, work, options=options, **fields)
            return Answer({"plan": self._plans.document(*planned)})
        job = self._requests.for_images(call, work, options=options, idempotency_key=key, **fields)
        return self._accepted(call, job)

    def index(self, call: Call) -> Answer:
        """List jobs a page at a time: `marker` is the last id of the page before."""
        only, sort, marker = job_filter(call.query), job_sort(call.query), call.query.get("marker")

        def items(limit: int) -> list[Job]:
            try:
                after = None if marker is None else parse_job_id(marker)
                return self._queries.list_jobs(only=only, sort=sort, limit=limit, marker=after)
            except JobNotFound as error:
                raise bad_query("marker", marker, error) from error

        return page(call, "jobs", "/v1/jobs", items=items, view=self._views.listed_job, marker=lambda job: job.id)

    def show(self, call: Call) -> Answer:
        return Answer({"job": self._views.job(self._queries.get(parse_job_id(call.params["job_id"])))})

    def cancel(self, call: Call) -> Answer:
        """Request that the job ends as cancelled. A job that no conductor has begun has ended when this returns."""
        job = self._steering.cancel(parse_job_id(call.params["job_id"]))
        if not job.state.is_final:
            self._wake()
        return self._accepted(call, job)

    def pause(self, call: Call) -> Answer:
        """Request that the job waits until it is resumed."""
        return self._steered(call, self._steering.pause)

    def resume(self, call: Call) -> Answer:
        return self._steered(call, self._steering.resume)

    def retry(self, call: Call) -> Answer:
        return self._steered(call, self._steering.retry)

    def update(self, call: Call) -> Answer:
        """Change options of the job."""
        job = self._steering.change(parse_job_id(call.params["job_id"]), JobChange(call.body))
        self._wake()
        return Answer({"job": self._views.job(job)})

    def _steered(self, call: Call, steer: Callable[[str], Job]) -> Answer:
        job = steer(parse_job_id(call.params["job_id"]))
        self._wake()
        return self._accepted(call, job)

    def hosts(self, call: Call) -> Answer:
        """List the hosts of a job in the order of the request, a page at a time: `marker` is the last one before."""
        job_id, marker, only = parse_job_id(call.params["job_id"]), call.query.get("marker"), host_filter(call.query)

        def items(limit: int) -> list[HostProgress]:
            try:
                return self._queries.list_hosts(job_id, only=only, limit=limit, marker=marker)
            except HostNotFound as error:
                raise bad_query("marker", marker, error) from error

        path = f"/v1/jobs/{job_id}/hosts"
        return page(call, "hosts", path, items=items, view=self._views.host, marker=lambda host: host.host)

    def tasks(self, call: Call) -> Answer:
        """List tasks in the order of the request, a page at a time: `marker` is HOST:IMAGE of the last one before."""
        job_id, marker = parse_job_id(call.params["job_id"]), call.query.get("marker")
        only, after = task_filter(call.query), None if marker is None else _task_key(marker)

        def items(limit: int) -> list[Task]:
            try:
                return self._queries.list_tasks(job_id, only=only, limit=limit, marker=after)
            except TaskNotFound as error:
                raise bad_query("marker", marker, error) from error

        path = f"/v1/jobs/{job_id}/tasks"
        return page(
            call, "tasks", path, items=items, view=self._views.task, marker=lambda task: f"{task.host}:{task.image}"
        )

    def _accepted(self, call: Call, job: Job) -> Answer:
        location = f"{call.base_url}/v1/jobs/{job.id}"
        return Answer({"job": self._views.job(job)}, status=202, headers={"Location": location})


def _idempotency_key(call: Call) -> IdempotencyKey | None:
    """Return the key of the request. Raises MalformedHeader."""
    text, caller = call.idempotency_key, call.caller
    if text is None:
        return None
    if not is_idempotency_key(text):
        raise MalformedHeader(f"Idempotency-Key must be {KEY_RULE}.")
    return IdempotencyKey.of(text, project_id=caller.project_id, user_id=caller.user_id, body=call.body)


def _task_key(marker: str) -> TaskKey:
    """Return host and image out of HOST:IMAGE. Raises InvalidRequest."""
    host, _, image = marker.rpartition(":")
    return host, image_id("marker", image)
