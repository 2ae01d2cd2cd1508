"""Accept a request for images: check every one of them, store the job, wake a conductor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from precache.api.calls import Call
from precache.api.refusals import DuplicateImages
from precache.core.aggregates import Aggregate
from precache.core.images import ImageId, parse_image_id
from precache.core.jobs import Job, NewJob
from precache.core.orders import CacheOrder
from precache.core.text import plain_line
from precache.ports.clock import Clock
from precache.ports.image_service import ImageCatalog
from precache.ports.job_store import JobIntake
from precache.rules.admission import check_admissible

_NAME_LENGTH = 255
"""Characters of an image's name that are kept: Glance's limit."""


class JobRequests:
    """Turns a checked body of the schema CacheImages into a job.

    wake: tells conductors that there is work; never raises, never blocks.
    """

    def __init__(
        self,
        *,
        images: ImageCatalog,
        jobs: JobIntake,
        clock: Clock,
        wake: Callable[[], None],
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._images = images
        self._jobs = jobs
        self._clock = clock
        self._wake = wake
        self._new_id = new_id

    def for_aggregate(self, call: Call, images: Sequence[ImageId], aggregate: Aggregate) -> Job:
        """Store the job for all hosts of the aggregate. Nothing is stored unless every image passes its checks."""
        return self._store(
            NewJob(
                id=self._new_id(),
                aggregate_id=aggregate.id,
                aggregate_uuid=aggregate.uuid,
                aggregate_name=aggregate.name,
                hosts=aggregate.hosts,
                orders=tuple(map(CacheOrder, images)),
                requested_by=call.caller.user_id,
                request_id=call.request_id,
                created_at=self._clock.now(),
                image_names=self._admitted(call, images),
            )
        )

    def for_host(self, call: Call, images: Sequence[ImageId], host: str) -> Job:
        """Store the job for this host alone. Nothing is stored unless every image passes its checks."""
        return self._store(
            NewJob(
                id=self._new_id(),
                aggregate_id=0,
                aggregate_uuid="",
                aggregate_name="",
                hosts=(host,),
                orders=tuple(map(CacheOrder, images)),
                requested_by=call.caller.user_id,
                request_id=call.request_id,
                created_at=self._clock.now(),
                image_names=self._admitted(call, images),
                for_host=host,
            )
        )

    def _admitted(self, call: Call, images: Sequence[ImageId]) -> dict[ImageId, str]:
        """Check the images; return the names of those that have one."""
        names: dict[ImageId, str] = {}
        # With the caller's own token: a caller who may not see an image cannot have it cached.
        token = call.caller.token
        listed = self._images.find_listed(token, images)
        for image in images:
            found = listed.get(image) or self._images.show_to(token, image)
            check_admissible(found)
            if found.name:
                names[image] = plain_line(found.name, _NAME_LENGTH)
        return names

    def _store(self, job: NewJob) -> Job:
        stored = self._jobs.add(job)
        self._wake()
        return stored


def requested_images(call: Call) -> tuple[ImageId, ...]:
    """Return the canonical ids in their order. Two spellings of one id are duplicates. Raises DuplicateImages."""
    images = tuple(parse_image_id(item["id"]) for item in call.body["cache"])
    if len(set(images)) != len(images):
        raise DuplicateImages
    return images
