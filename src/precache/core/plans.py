"""The plan of a job: what it would move and where, before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from precache.core.images import ImageId
from precache.core.transfer_rates import MeasuredRate


class PlannedHost(StrEnum):
    """What a job would do on a host; every host of a plan is in exactly one of these."""

    READY = "ready"  # all images are there
    INCOMPLETE = "incomplete"  # some images are missing
    UNSUPPORTED = "unsupported"  # it caches no images
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Listed:
    """The first hosts of a kind by name, and how many more there are."""

    hosts: tuple[str, ...] = ()
    more: int = 0

    @property
    def count(self) -> int:
        return len(self.hosts) + self.more


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """One image on the hosts of a group that answered and cache images.

    held_by: hosts that have it. held_bytes: what it occupies there, as far as it is known; None if no host said it.
    """

    image: ImageId
    held_by: Listed
    missing: int
    held_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGroup:
    """The hosts of one site in one cell.

    cell: None for hosts whose cell is not known.
    hosts: how many there are of each kind. lacking_space: how many of the incomplete ones lack space.
    bytes_to_move: of the missing images to the hosts that answered, also to those that lack space.
    image_service_bytes: what of these the image service sends. by_swarm: whether the hosts get the others from each
        other; None if unknown, or if nothing is downloaded. transfer_reason: why, in words.
    rate: of a download in this cell; None if none was measured.
    seconds: how long its hosts take if the job calls no others; None if unknown.
    """

    cell: str | None
    site: str
    hosts: Mapping[PlannedHost, int]
    lacking_space: int
    bytes_to_move: int
    images: tuple[PlannedImage, ...]
    rate: MeasuredRate | None
    seconds: float | None
    image_service_bytes: int
    by_swarm: bool | None = None
    transfer_reason: str = ""


@dataclass(frozen=True, slots=True)
class HostNote:
    """A host that needs the attention of an operator.

    needed_bytes, free_bytes, promised_bytes, reserve_bytes: of a host that lacks space, as in `CacheContents`.
    """

    host: str
    cell: str | None
    site: str
    reason: str = ""
    needed_bytes: int | None = None
    free_bytes: int | None = None
    promised_bytes: int = 0
    reserve_bytes: int = 0


@dataclass(frozen=True, slots=True)
class HostNotes:
    """The first of these hosts, and how many more there are."""

    hosts: tuple[HostNote, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """When the job would run.

    seconds: of work; None if unknown, for the reason.
    tasks, jobs: the measured downloads of the cells concerned, and the jobs that they belong to in the cell with most.
    begins_at: when the job may begin. ends_at: None if unknown, or later than can be said.
    meets_deadline: None if there is no deadline, or if it is unknown.
    """

    seconds: float | None
    reason: str
    tasks: int
    jobs: int
    hosts_at_once: int
    begins_at: datetime
    ends_at: datetime | None
    meets_deadline: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """groups: by cell and site, in the order of the first host of each in the request."""

    groups: tuple[PlannedGroup, ...]
    lacking_space: HostNotes
    down: HostNotes
    unknown: HostNotes
    unsupported: HostNotes
    estimate: Estimate
