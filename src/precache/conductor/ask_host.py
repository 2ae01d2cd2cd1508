"""Calls one host for all images of a job, and ensures that every image has exactly one result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from precache.core.errors import PrecacheError, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Outcome, TaskPaused, TaskResult
from precache.ports.compute_gateway import ComputeGateway, HostResult, ImagesRequest
from precache.rules.stopping import Ending

_log = logging.getLogger(__name__)

NO_ANSWER = "the host answered, but not for this image; update its compute to the conductor's release"

UNCONFIRMED = "{}; a transfer there may go on until it ends"
"""The reason of a task that was stopped, but whose host did not confirm that it has stopped."""

COMPUTE_STOPPED = "the host's compute was being stopped; send the request again when it runs"


def ask_host(
    gateway: ComputeGateway, request: ImagesRequest, ending: Callable[[], Ending | None]
) -> tuple[HostResult, ...]:
    """Return one result for each image of the request, in its order, whatever the host answers.

    ending: returns what becomes of the job if it has been stopped meanwhile; then a failed call is no error. Raises
    Stopped if this process or the host's compute is being stopped: then the results are unknown.
    """
    try:
        answered = gateway.process_images(request)
    except Stopped:
        raise
    except PrecacheError as error:
        return _failed(request.images, str(error), ending(), may_pass=error.may_pass)
    except Exception as error:  # noqa: BLE001  a bug in a gateway must not leave a host without an outcome
        _log.exception("Asking host %s for job %s failed", request.host, request.job_id)
        reason = f"asking the host failed: {error}; the conductor's log has the details"
        return _failed(request.images, reason, ending())
    return _one_for_each(request.images, answered)


def stopped_results(images: Iterable[ImageId], ending: Ending | None) -> tuple[HostResult, ...]:
    """Return the results of a host whose compute is being stopped, which ends its transfers, too."""
    if ending is None:
        return tuple(TaskResult(image, Outcome.ERROR, reason=COMPUTE_STOPPED, may_pass=True) for image in images)
    return _rest(images, "", ending)


def same_result(images: Iterable[ImageId], outcome: Outcome, reason: str) -> tuple[TaskResult, ...]:
    """Return the same result for each image."""
    return tuple(TaskResult(image, outcome, reason=reason) for image in images)


def _one_for_each(images: Sequence[ImageId], answered: Sequence[HostResult]) -> tuple[HostResult, ...]:
    by_image = {result.image: result for result in answered}
    return tuple(by_image.get(image) or TaskResult(image, Outcome.ERROR, reason=NO_ANSWER) for image in images)


def _failed(
    images: Iterable[ImageId], reason: str, ending: Ending | None, *, may_pass: bool = False
) -> tuple[HostResult, ...]:
    if ending is not None:
        return _rest(images, UNCONFIRMED.format(reason), ending)
    return tuple(TaskResult(image, Outcome.ERROR, reason=reason, may_pass=may_pass) for image in images)


def _rest(images: Iterable[ImageId], reason: str, ending: Ending) -> tuple[HostResult, ...]:
    if ending.rest is None:
        return tuple(TaskPaused(image) for image in images)
    return same_result(images, ending.rest, reason)
