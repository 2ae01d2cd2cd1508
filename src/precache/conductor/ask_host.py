"""Asks one host for all images of a job, and makes sure that every image ends in exactly one outcome."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from precache.core.errors import PrecacheError, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Outcome, TaskResult
from precache.core.work_context import WorkContext, working_on
from precache.ports.compute_gateway import CacheRequest, ComputeGateway

_log = logging.getLogger(__name__)

NO_ANSWER = "the host answered, but not for this image; update its compute to the conductor's release"


def ask_host(gateway: ComputeGateway, request: CacheRequest) -> list[TaskResult]:
    """Return one result for each image of the request, in its order, whatever the host does.

    Raises Stopped if we or the host's compute are being stopped: then nothing is known of the images.
    """
    try:
        with working_on(WorkContext(job_id=request.job_id)):
            answered = gateway.cache_images(request)
    except Stopped:
        raise
    except PrecacheError as error:
        return _all(request.images, str(error))
    except Exception as error:  # noqa: BLE001  a bug in a gateway must not leave a host without an outcome
        _log.exception("Asking host %s for job %s failed", request.host, request.job_id)
        return _all(request.images, f"asking the host failed: {error}; the conductor's log has the details")
    return _one_for_each(request.images, answered)


def _one_for_each(images: Sequence[ImageId], answered: Sequence[TaskResult]) -> list[TaskResult]:
    by_image = {result.image: result for result in answered}
    return [by_image.get(image, TaskResult(image, Outcome.ERROR, reason=NO_ANSWER)) for image in images]


def _all(images: Sequence[ImageId], reason: str) -> list[TaskResult]:
    return [TaskResult(image, Outcome.ERROR, reason=reason) for image in images]
