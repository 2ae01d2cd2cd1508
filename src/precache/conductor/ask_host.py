"""Calls one host for all images of a job, and ensures that every image has exactly one outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from precache.background.cancel_token import CancelToken
from precache.core.errors import PrecacheError, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Outcome, TaskResult
from precache.core.stopping import StopReason
from precache.ports.compute_gateway import CacheRequest, ComputeGateway, HostResult

_log = logging.getLogger(__name__)

NO_ANSWER = "the host answered, but not for this image; update its compute to the conductor's release"

UNCONFIRMED = "{}; a transfer there may go on until it ends"
"""The reason of a task that was cancelled, but whose host did not confirm that it has stopped."""


def ask_host(gateway: ComputeGateway, request: CacheRequest, work: CancelToken) -> tuple[TaskResult, ...]:
    """Return one result for each image of the request, in its order, whatever the host answers.

    After a failed call all are errors; `cancelled` if an operator has cancelled the job meanwhile. Raises Stopped if
    this process or the host's compute is being stopped: then the outcomes are unknown.
    """
    try:
        answered = gateway.cache_images(request)
    except Stopped:
        raise
    except PrecacheError as error:
        return _failed(request.images, str(error), work)
    except Exception as error:  # noqa: BLE001  a bug in a gateway must not leave a host without an outcome
        _log.exception("Asking host %s for job %s failed", request.host, request.job_id)
        reason = f"asking the host failed: {error}; the conductor's log has the details"
        return _failed(request.images, reason, work)
    return _one_for_each(request.images, answered)


def _one_for_each(images: Sequence[ImageId], answered: Sequence[HostResult]) -> tuple[TaskResult, ...]:
    by_image = {result.image: result for result in answered if isinstance(result, TaskResult)}
    return tuple(by_image.get(image, TaskResult(image, Outcome.ERROR, reason=NO_ANSWER)) for image in images)


def _failed(images: Iterable[ImageId], reason: str, work: CancelToken) -> tuple[TaskResult, ...]:
    if work.reason is StopReason.CANCELLED:
        return same_result(images, Outcome.CANCELLED, UNCONFIRMED.format(reason))
    return same_result(images, Outcome.ERROR, reason)


def same_result(images: Iterable[ImageId], outcome: Outcome, reason: str) -> tuple[TaskResult, ...]:
    """Return the same result for each image."""
    return tuple(TaskResult(image, outcome, reason=reason) for image in images)
