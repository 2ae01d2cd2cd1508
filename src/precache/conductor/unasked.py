"""How the tasks of hosts end that are not asked at all, and why."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from precache.core.errors import ComputeOutdated
from precache.core.images import ImageId
from precache.core.jobs import Outcome, TaskResult
from precache.rules.group_by_cell import HostGroups, RpcRequirement

_log = logging.getLogger(__name__)

DOWN = "the host is down or was forced down; bring it up and send the request again"
UNMAPPED = (
    "no Precache compute was ever heard of on this host, so it belongs to no cell; start `precache serve compute` "
    "there, under this name ([DEFAULT] host), and send the request again"
)


def end_unasked(
    groups: HostGroups, images: Mapping[str, tuple[ImageId, ...]], requirement: RpcRequirement | None
) -> Iterator[tuple[str, tuple[TaskResult, ...]]]:
    """Return each host that may not be asked, with a result for each of its images."""
    for host in groups.down:
        _log.info("Skipping image pre-cache request to compute %r because it is not up", host.name)
        yield host.name, all_alike(images[host.name], Outcome.SKIPPED, DOWN)
    for name in groups.unmapped:
        yield name, all_alike(images[name], Outcome.ERROR, UNMAPPED)
    for host in groups.outdated:
        pin = requirement.pin if requirement and requirement.is_pinned_below else None
        needed = requirement.needed if requirement else ""
        outdated = ComputeOutdated(host.name, needed, pin or host.rpc_version, pinned=pin is not None)
        _log.warning("%s", outdated)
        yield host.name, all_alike(images[host.name], Outcome.ERROR, str(outdated))


def all_alike(images: tuple[ImageId, ...], outcome: Outcome, reason: str) -> tuple[TaskResult, ...]:
    """Return the same result for each image."""
    return tuple(TaskResult(image, outcome, reason=reason) for image in images)
