"""What an operator asks of a host's cache at once, and what the host answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from precache.core.images import ImageId
from precache.core.text import plain_line

MOST_KEEP_DAYS = 36500


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """Which unused and unpinned entries to remove now: by the host's policy, unless one of the others is set.

    is_dry_run: remove nothing, and answer what would be removed. everything: whatever its age.
    keep_days: what was used within so many days stays.
    """

    is_dry_run: bool = False
    everything: bool = False
    keep_days: int | None = None

    def __post_init__(self) -> None:
        if self.everything and self.keep_days is not None:
            raise ValueError("all and keep_days exclude each other")


@dataclass(frozen=True, slots=True)
class CleanedEntry:
    """One file of the cache, and why it was removed, or why it stays. image: None if it is not known.

    size_bytes: on the disk, without holes.
    """

    entry: str
    image: ImageId | None
    size_bytes: int
    last_used: datetime | None
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", plain_line(self.reason))


@dataclass(frozen=True, slots=True)
class CleanResult:
    """The answer. removed: what was removed, or would be. kept: what stays.

    refused: why nothing was done; else empty.
    """

    policy: str = ""
    removed: tuple[CleanedEntry, ...] = field(default=())
    kept: tuple[CleanedEntry, ...] = field(default=())
    refused: str = ""

    @property
    def bytes_freed(self) -> int:
        return sum(entry.size_bytes for entry in self.removed)
