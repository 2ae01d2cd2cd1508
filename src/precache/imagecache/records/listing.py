"""The list of what is in the cache: the entries as the disk has them, with what their records say. It reads no image.

It takes no lock, so it may see an entry that is just being published or removed. What is in the place of an entry and
is not a file, such as a link or a directory, is not listed.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from precache.core.cache_entries import AlarmKind, CachedEntry, CacheListing, EntryState, Verification
from precache.core.errors import CacheUnusable
from precache.imagecache.cache import ImageCache
from precache.imagecache.last_use import last_use
from precache.imagecache.names import parse_record
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.entry_records import FileVersion, version_of
from precache.imagecache.space.disk_usage import allocated_bytes
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

_ENTRY = re.compile(r"[0-9a-f]{40}")

_Versions = tuple[FileVersion | None, FileVersion | None]
"""Of a record, and of the copy of its pins; None if there is none."""

Disks = Mapping[str, Collection[Path]]
"""The disks that stand on each entry in use."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is in the directory: the files of entries, the records by entry, and the bytes that each inode occupies.

    copies: of the pins, which are elsewhere.
    """

    files: dict[str, os.stat_result] = field(default_factory=dict)
    records: dict[str, FileVersion] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    copies: dict[str, FileVersion] = field(default_factory=dict)


class EntryLister:
    """Lists one cache. disks: returns what was last found to be in use; None if that is not known. Thread-safe."""

    def __init__(self, *, cache: ImageCache, clock: Clock, disks: Callable[[], Disks | None] = lambda: None) -> None:
        self._cache = cache
        self._clock = clock
        self._disks = disks
        self._reported: frozenset[str] = frozenset()
        self._read: dict[str, tuple[_Versions, EntryRecord]] = {}

    def list(self) -> CacheListing:
        """Return all entries by name, and the space. Raises CacheUnusable if the directory cannot be read."""
        try:
            seen = self._scan()
        except OSError as error:
            raise CacheUnusable(str(self._cache.directory), explain(error)) from error
        entries = tuple(self._entries(seen.files, self._records(seen)))
        return CacheListing(entries, self._cache.space(sum(seen.used.values())))

    def _scan(self) -> _Seen:
        """Return what is in the directory. Raises OSError."""
        seen, obstacles = _Seen(), set()
        with os.scandir(self._cache.directory) as names:
            for name in names:
                try:
                    status = name.stat(follow_symlinks=False)
                except FileNotFoundError:  # it was removed meanwhile
                    continue
                seen.used[status.st_ino] = allocated_bytes(status)
                if _ENTRY.fullmatch(name.name):
                    if not stat.S_ISREG(status.st_mode):
                        obstacles.add(name.name)
                    elif status.st_size:  # an empty one was left by a process that died; it is fetched again
                        seen.files[name.name] = status
                elif (entry := parse_record(name.name)) is not None:
                    seen.records[entry] = version_of(status)
        seen.copies.update(self._cache.records.copied())
        self._report(frozenset(obstacles))
        return seen

    def _records(self, seen: _Seen) -> dict[str, EntryRecord]:
        """Return the records that can be used; read those that are new or changed since the last call."""
        earlier, later = self._read, {}
        with self._cache.records.reader() as read:
            for entry in seen.records.keys() | seen.copies.keys():
                versions = seen.records.get(entry), seen.copies.get(entry)
                known = earlier.get(entry)
                record = known[1] if known is not None and known[0] == versions else read(entry)
                if record is not None:
                    later[entry] = versions, record
        self._read = later
        return {entry: record for entry, (_, record) in later.items()}

    def _report(self, obstacles: frozenset[str]) -> None:
        """Log each name once, until something else has it."""
        for name in sorted(obstacles - self._reported):
            _log.warning(
                "%s is not a file, so it is not listed as a cached image; find out what made it, and move it elsewhere",
                self._cache.directory / name,
            )
        self._reported = obstacles

    def _entries(
        self, found: Mapping[str, os.stat_result], records: Mapping[str, EntryRecord]
    ) -> Iterator[CachedEntry]:
        disks, now = self._disks(), self._clock.now()
        corrupt = {alarm.entry for alarm in self._cache.alarms.current() if alarm.kind is AlarmKind.CORRUPT}
        for entry in sorted(found.keys() | records.keys()):
            record = records.get(entry)
            if entry in found:
                users = None if disks is None else len(disks.get(entry, ()))
                yield _present(entry, found[entry], record, is_corrupt=entry in corrupt, disks=users)
            elif record is not None and any(pin.counts(now) for pin in record.pins):
                yield _missing(entry, record)


def _present(
    entry: str, found: os.stat_result, record: EntryRecord | None, *, is_corrupt: bool, disks: int | None
) -> CachedEntry:
    size, allocated, last_used = found.st_size, allocated_bytes(found), last_use(found)
    if record is None:
        verification = Verification.CORRUPT if is_corrupt else Verification.UNVERIFIABLE
        return CachedEntry(
            entry=entry,
            size_bytes=size,
            allocated_bytes=allocated,
            last_used=last_used,
            verification=verification,
            disks=disks,
        )
    return CachedEntry(
        entry=entry,
        image=record.image,
        image_name=record.image_name,
        size_bytes=size,
        allocated_bytes=allocated,
        format=record.format,
        digest=record.digest,
        source=record.source,
        source_digest=record.source_digest,
        requested_by=record.requested_by,
        cached_at=record.cached_at,
        last_used=last_used,
        verified_at=record.verified_at,
        verification=Verification.CORRUPT if is_corrupt or record.fault else _verification(record, size),
        pins=record.pins,
        disks=disks,
    )


def _missing(entry: str, record: EntryRecord) -> CachedEntry:
    return CachedEntry(
        entry=entry,
        image=record.image,
        image_name=record.image_name,
        state=EntryState.MISSING,
        requested_by=record.requested_by,
        pins=record.pins,
    )


def _verification(record: EntryRecord, size_bytes: int) -> Verification:
    if not record.digest:
        return Verification.UNVERIFIABLE
    # With another size the file is not the one that was compared.
    is_same = record.size_bytes is None or record.size_bytes == size_bytes
    return Verification.INTACT if record.verified_at is not None and is_same else Verification.UNVERIFIED
