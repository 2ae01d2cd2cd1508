"""What a host reports of its cache: the entries, the space, what was removed, and what needs an operator."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from precache.core.images import ImageId
from precache.core.pins import Pin

_ENTRY = re.compile(r"[0-9a-fA-F]{40}")


def entry_name(image: ImageId) -> str:
    """Return the name under which Nova looks for the image: the sha1 of its canonical id, as text."""
    return hashlib.sha1(image.encode(), usedforsecurity=False).hexdigest()


def parse_entry(text: str) -> str | None:
    """Return the name of an entry that a caller typed, 40 hex digits in any case; None for every other text."""
    return text.lower() if _ENTRY.fullmatch(text) else None


class EntryState(StrEnum):
    """MISSING: the entry is pinned, but it is gone from the cache."""

    PRESENT = "present"
    MISSING = "missing"


class Verification(StrEnum):
    """The result of the last comparison of an entry with its record.

    UNVERIFIABLE: there is no digest to compare with. UNVERIFIED: there is one, and the entry was not read since it was
    published.
    """

    UNVERIFIABLE = "unverifiable"
    UNVERIFIED = "unverified"
    INTACT = "intact"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedEntry:
    """One entry of a host's cache.

    entry: its file name, the SHA-1 of the image's id. image: None if it is not known, for lack of a record.
    size_bytes: of the file; allocated_bytes: on the disk, without its holes.
    format: `raw`, `qcow2` ...; empty if unknown.
    digest, source_digest: as `<algorithm>:<hexadecimal>`; empty if unknown.
    source: `image service`; `hosts of the site` if it came from there piece by piece; `adopted` if another program made
        the entry; empty if unknown.
    requested_by: of the job that cached it; empty if unknown.
    last_used: the time from which its expiry counts.
    disks: how many disks used it when that was last determined; None if that was not determined.
    """

    entry: str
    image: ImageId | None = None
    image_name: str = ""
    state: EntryState = EntryState.PRESENT
    size_bytes: int = 0
    allocated_bytes: int = 0
    format: str = ""
    digest: str = ""
    source: str = ""
    source_digest: str = ""
    requested_by: str = ""
    cached_at: datetime | None = None
    last_used: datetime | None = None
    verified_at: datetime | None = None
    verification: Verification = Verification.UNVERIFIABLE
    pins: tuple[Pin, ...] = ()
    disks: int | None = None


@dataclass(frozen=True, slots=True)
class CacheSpace:
    """The space of a cache and of its file system. used_bytes: by the files of the cache, without holes.

    promised_bytes: to images that are being fetched, and not written yet. reserve_bytes: left to running guests.
    """

    total_bytes: int
    free_bytes: int
    used_bytes: int = 0
    promised_bytes: int = 0
    reserve_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CacheListing:
    """All entries of a host's cache by name, and the space."""

    entries: tuple[CachedEntry, ...]
    space: CacheSpace


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that was removed from a cache. entry: its name, also of a resized copy. image: None if it is not known."""

    entry: str
    image: ImageId | None
    at: datetime
    reason: str
    bytes_freed: int = 0


class AlarmKind(StrEnum):
    """NOT_TOUCHED: a pinned entry was not touched in time, so that nova-compute may remove it.

    MISSING: a pinned entry is gone. NOT_RESTORED: an entry that is gone could not be fetched again.
    CORRUPT: an entry differs from its record, and cannot be replaced.
    UNSAFE_SHARING: hosts share the cache, but not its locks.
    SILENT_SHARER: a host that shares the cache was not seen for a day; `entry` has its name.
    NOT_LISTED: the cache cannot be read, so its entries are as they were before.
    """

    NOT_TOUCHED = "not_touched"
    MISSING = "missing"
    NOT_RESTORED = "not_restored"
    CORRUPT = "corrupt"
    UNSAFE_SHARING = "unsafe_sharing"
    SILENT_SHARER = "silent_sharer"
    NOT_LISTED = "not_listed"


@dataclass(frozen=True, slots=True)
class Alarm:
    """What needs an operator in a cache. entry: of some kinds a host; empty if it concerns the whole cache."""

    kind: AlarmKind
    entry: str
    image: ImageId | None
    text: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """What a host tells of its cache: everything, or all changes since it last told everything.

    boot_id: of the compute, new with every start. sequence: grows with each report of one boot_id.
    base: the sequence of the last full report; that of this one if it is full.
    cache_id: the same for all hosts that share the cache; empty if unknown.
    owner: `nova` or `precache`. policy: of a cache that Precache owns; empty otherwise.
    entries: all of them, or those that are new or changed. gone: those that are there no longer; empty if full.
    unlisted: how many further entries there are, which do not fit into a report; they are not among `gone`.
    removals, alarms: all that the host remembers, in every report.
    unsupported: why the host caches no images; empty if it does.
    """

    host: str
    cell: str
    boot_id: str
    sequence: int
    base: int
    at: datetime
    space: CacheSpace | None
    cache_id: str = ""
    owner: str = ""
    policy: str = ""
    entries: tuple[CachedEntry, ...] = ()
    gone: tuple[str, ...] = ()
    unlisted: int = 0
    removals: tuple[Removal, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    unsupported: str = ""

    @property
    def is_full(self) -> bool:
        return self.base == self.sequence
