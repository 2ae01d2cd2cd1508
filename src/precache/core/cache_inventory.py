"""What the caches of all hosts hold, as the hosts last reported it: the values of the views, and their filters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from precache.core.cache_entries import Alarm, CachedEntry, CacheSpace, EntryState, Removal, Verification
from precache.core.images import ImageId


@dataclass(frozen=True, slots=True)
class CacheNumbers:
    """Numbers of entries of one host, or of one image on all hosts.

    present, missing: by the state of the entry; all other numbers are of those that are present, except `pinned`.
    bytes: on the disk, without holes. unused: those that no disk used, where that was determined.
    A host that shares its cache with others counts like every other host.
    """

    present: int = 0
    missing: int = 0
    bytes: int = 0
    pinned: int = 0
    unused: int = 0
    intact: int = 0
    corrupt: int = 0
    unverifiable: int = 0

    def __add__(self, other: CacheNumbers) -> CacheNumbers:
        return CacheNumbers(*(getattr(self, name) + getattr(other, name) for name in NUMBER_NAMES))

    @classmethod
    def of(cls, entry: CachedEntry) -> CacheNumbers:
        return cls(*numbers_of_entry(entry))

    @classmethod
    def sum(cls, entries: Iterable[CachedEntry]) -> CacheNumbers:
        return sum(map(cls.of, entries), cls())

    def count(self, verification: Verification) -> int:
        if verification is Verification.UNVERIFIED:
            return self.present - self.intact - self.corrupt - self.unverifiable
        return int(getattr(self, verification.value))


def numbers_of(
    state: EntryState, verification: Verification, is_pinned: bool, disks: int | None, allocated_bytes: int
) -> tuple[int, ...]:
    """Return the fields of `CacheNumbers` for one entry, in their order."""
    if state is EntryState.MISSING:
        return 0, 1, 0, int(is_pinned), 0, 0, 0, 0
    return (
        1,
        0,
        allocated_bytes,
        int(is_pinned),
        int(disks == 0),
        int(verification is Verification.INTACT),
        int(verification is Verification.CORRUPT),
        int(verification is Verification.UNVERIFIABLE),
    )


def numbers_of_entry(entry: CachedEntry) -> tuple[int, ...]:
    """Return the fields of `CacheNumbers` for the entry, in their order."""
    return numbers_of(entry.state, entry.verification, bool(entry.pins), entry.disks, entry.allocated_bytes)


NUMBER_NAMES = ("present", "missing", "bytes", "pinned", "unused", "intact", "corrupt", "unverifiable")
"""The fields of `CacheNumbers`, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCache:
    """The cache of one host as a whole, without its entries.

    reported_at: when the report was stored, by the store's clock. age: how long ago that was when this was read.
    numbers: of the reported entries. unlisted: how many further entries the host has, which did not fit into a report.
    space: None if the host does not report it. The other fields are those of `CacheReport`.
    """

    host: str
    reported_at: datetime
    numbers: CacheNumbers
    unlisted: int = 0
    space: CacheSpace | None = None
    cache_id: str = ""
    owner: str = ""
    policy: str = ""
    unsupported: str = ""
    removals: tuple[Removal, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    age: timedelta = field(default=timedelta(), compare=False)


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One image on one host. cell: None if the host belongs to none. reported_at: see `HostCache`."""

    host: str
    cell: str | None
    entry: CachedEntry
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class CachedImage:
    """One image that some hosts hold, or should hold.

    entry: the file name that it has on all hosts. image, name: None if no host has a record of it.
    status: in the image service, by its own words, or `gone` if it is not there; None if that was not asked yet.
    status_at: when the image service was asked.
    """

    entry: str
    image: ImageId | None
    name: str | None
    numbers: CacheNumbers
    status: str | None = None
    status_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are listed: those that meet all conditions that are not None.

    is_unused: True for those that no disk used; False for all others, also if that was not determined.
    """

    state: EntryState | None = None
    is_pinned: bool | None = None
    verification: Verification | None = None
    is_unused: bool | None = None

    def admits(self, entry: CachedEntry) -> bool:
        return (
            self.state in (None, entry.state)
            and self.is_pinned in (None, bool(entry.pins))
            and self.verification in (None, entry.verification)
            and self.is_unused in (None, entry.disks == 0)
        )


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images are listed: those that meet all conditions that are not None.

    state: on one host or more. is_pinned: on one host or more; False for those that are pinned on no host.
    verification: the result of one host or more.
    is_unused: True if all hosts that hold it have determined that no disk uses it; False for all others.
    statuses: in the image service; None among them for images of which that was not asked yet; empty for all.
    name: the exact name.
    """

    state: EntryState | None = None
    is_pinned: bool | None = None
    verification: Verification | None = None
    is_unused: bool | None = None
    statuses: frozenset[str | None] = frozenset()
    name: str | None = None

    def admits(self, image: CachedImage) -> bool:
        of = image.numbers
        return (
            (self.state is None or (of.missing if self.state is EntryState.MISSING else of.present) > 0)
            and self.is_pinned in (None, of.pinned > 0)
            and (self.verification is None or of.count(self.verification) > 0)
            and self.is_unused in (None, of.unused == of.present)
            and (not self.statuses or image.status in self.statuses)
            and self.name in (None, image.name)
        )


EVERY_ENTRY = EntryFilter()
EVERY_CACHED_IMAGE = ImageFilter()
