"""The request that all of this is for: cache these images on every host of an aggregate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from precache.api.calls import Answer, Call
from precache.api.handlers.aggregate_ids import parse_aggregate_id
from precache.api.refusals import DuplicateImages
from precache.core.images import ImageId, parse_image_id
from precache.core.jobs import NewJob
from precache.ports.clock import Clock
from precache.ports.image_service import ImageCatalog
from precache.ports.inventory import AggregateQueries
from precache.ports.job_store import JobIntake
from precache.rules.admission import check_admissible

JOB_ID_HEADER = "X-Precache-Job-Id"


class AggregateImages:
    """Takes the request in. Nothing is stored, and no host is asked, unless every check has passed."""

    def __init__(
        self,
        *,
        aggregates: AggregateQueries,
        images: ImageCatalog,
        jobs: JobIntake,
        clock: Clock,
        wake: Callable[[], None],
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """wake: tells the conductor that there is work; never raises, never blocks."""
        self._aggregates = aggregates
        self._images = images
        self._jobs = jobs
        self._clock = clock
        self._wake = wake
        self._new_id = new_id

    def cache(self, call: Call) -> Answer:
        aggregate_id = parse_aggregate_id(call)
        images = _distinct([item["id"] for item in call.body["cache"]])
        aggregate = self._aggregates.get_aggregate(aggregate_id)
        for image in images:
            # The caller's own token: whoever may not see an image cannot have it put anywhere.
            check_admissible(self._images.show_to(call.caller.token, image))
        job = self._jobs.add(
            NewJob(
                id=self._new_id(),
                aggregate_id=aggregate.id,
                aggregate_uuid=aggregate.uuid,
                aggregate_name=aggregate.name,
                hosts=aggregate.hosts,
                images=images,
                requested_by=call.caller.user_id,
                request_id=call.request_id,
                created_at=self._clock.now(),
            )
        )
        self._wake()
        return Answer(status=202, headers={JOB_ID_HEADER: job.id})


def _distinct(texts: Sequence[str]) -> tuple[ImageId, ...]:
    """Give the canonical ids in their order. Two spellings of one id are duplicates. Raises DuplicateImages."""
    images = tuple(parse_image_id(text) for text in texts)
    if len(set(images)) != len(images):
        raise DuplicateImages
    return images
