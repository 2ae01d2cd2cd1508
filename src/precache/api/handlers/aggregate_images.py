"""The request of Nova's clients: cache these images on every host of an aggregate."""

from __future__ import annotations

from precache.api.calls import Answer, Call
from precache.api.handlers.aggregate_ids import parse_aggregate_id
from precache.api.handlers.job_requests import JobRequests, requested_images
from precache.ports.inventory import AggregateQueries

JOB_ID_HEADER = "X-Precache-Job-Id"


class AggregateImages:
    """Accepts the request. A job is stored only if every check has passed."""

    def __init__(self, *, aggregates: AggregateQueries, requests: JobRequests) -> None:
        self._aggregates = aggregates
        self._requests = requests

    def cache(self, call: Call) -> Answer:
        aggregate_id = parse_aggregate_id(call)
        images = requested_images(call)
        job = self._requests.for_aggregate(call, images, self._aggregates.get_aggregate(aggregate_id))
        # Clients do not follow the Location of a 202.
        return Answer(status=202, headers={JOB_ID_HEADER: job.id, "Location": f"{call.base_url}/v1/jobs/{job.id}"})
