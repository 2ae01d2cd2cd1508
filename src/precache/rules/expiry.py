"""Which files of the image cache have expired: Nova's rule, with Nova's limits.

The shape of a file's name says what it is. A file with another shape is foreign and never removed. Age counts from
the last use, which is the file's mtime. With a pass every interval, an unused file stays for at least its limit and at
most its limit plus one interval.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from precache.core.images import ImageId
from precache.core.pins import Pin

ENTRY_NAME_LENGTH = 40
"""Characters of a sha1 in hex. Nova counts them and does not check whether they are hex digits."""

LONGEST_TOUCH_INTERVAL = timedelta(minutes=10)

_SHORTEST_RESIZED_LENGTH = 43


class Shape(Enum):
    """The kind of a file in the cache, by its name."""

    IMAGE = auto()
    RESIZED = auto()
    BLANK = auto()


@dataclass(frozen=True, slots=True)
class ExpiryLimits:
    """How long an unused file is kept. original: images and blanks. resized: legacy resized copies."""

    original: timedelta
    resized: timedelta

    def of(self, name: str) -> timedelta:
        """Return the limit of the file with this name."""
        return self.resized if shape_of(name) is Shape.RESIZED else self.original


@dataclass(frozen=True, slots=True)
class CacheFile:
    """A regular file at the top level of the cache; times are aware.

    pins: as its record has them. They keep the file until they are removed from the record, also if the clock says that
    they are over: it may have jumped. size_bytes: on the disk, without
    holes. image: None if it is not known. is_new: not used since it was published.
    """

    name: str
    last_used: datetime
    pins: tuple[Pin, ...] = ()
    size_bytes: int = 0
    image: ImageId | None = None
    is_new: bool = False


def shape_of(name: str) -> Shape | None:
    """Return the kind of a name: an image, resized copy, blank (swap, ephemeral); None if it is not one of Nova's."""
    if len(name) == ENTRY_NAME_LENGTH:
        return Shape.IMAGE
    if len(name) >= _SHORTEST_RESIZED_LENGTH and name[ENTRY_NAME_LENGTH] == "_":
        return Shape.RESIZED
    if name.startswith(("swap_", "ephemeral_")):
        return Shape.BLANK
    return None


def is_expired(file: CacheFile, now: datetime, limits: ExpiryLimits) -> bool:
    """Return whether a file, if unused, may be removed now: it has reached its limit. A future last use keeps it."""
    if shape_of(file.name) is None or file.pins:
        return False
    return now - file.last_used >= limits.of(file.name)


def touch_interval(limit: timedelta) -> timedelta:
    """Return how often pinned files are touched, so that they do not reach their limit between two passes.

    limit: of an unused file, above zero. The interval is half of it at most, so that one pass may fail.
    """
    return min(LONGEST_TOUCH_INTERVAL, limit / 2) if limit else LONGEST_TOUCH_INTERVAL


def expired(
    files: Iterable[CacheFile], in_use: Collection[str], now: datetime, limits: ExpiryLimits
) -> list[CacheFile]:
    """Return the files to remove: unused and expired, oldest first. in_use: names of files in use."""
    found = [file for file in files if file.name not in in_use and is_expired(file, now, limits)]
    return sorted(found, key=lambda file: (file.last_used, file.name))
