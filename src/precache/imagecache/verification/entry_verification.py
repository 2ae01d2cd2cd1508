"""Compares entries with their records: an entry is intact, corrupt, or cannot be verified.

The entry is read without its lock, so that no boot waits for it. Before a result counts the entry is looked at again,
under the lock: it must still be the file that was read. Only two reads that differ from the record make an entry
corrupt, because one may be wrong by a fault of the memory or the disk. `corrupt_entries` has what becomes of it.

An entry without a digest is adopted: it is read once, and the digest is stored for the next time. Safe for several
threads and processes.
"""

from __future__ import annotations

import errno
import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable
from precache.core.images import ImageId
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.core.text import short_digest
from precache.imagecache.cache import ImageCache
from precache.imagecache.names import entry_name
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_record import ADOPTED, EntryRecord
from precache.imagecache.verification.content_digest import TREE_SHA256, content_digest
from precache.imagecache.verification.corrupt_entries import CorruptEntries
from precache.imagecache.verification.entry_look import EntryLook, inode_held, look_at
from precache.imagecache.verification.idle_io import idle_io
from precache.imagecache.verification.paced_reading import PacedReading
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

_MOST_READS = 5
_REPLACED = frozenset({None, errno.ENOENT, errno.ELOOP, errno.ENXIO})
"""Errors of a read whose file is gone, is something else, or has another size now."""


@dataclass(slots=True)
class _Work:
    """One verification. digests: of all reads of the file that is there now. read_bytes: of all reads."""

    image: ImageId
    path: Path
    reading: PacedReading
    digests: list[str] = field(default_factory=list)
    read_bytes: int = 0

    @property
    def entry(self) -> str:
        return self.path.name


class EntryVerification:
    """Verifies entries of one cache. corrupt: takes those that are. host: for the log."""

    def __init__(self, *, cache: ImageCache, corrupt: CorruptEntries, clock: Clock, host: str) -> None:
        self._cache = cache
        self._corrupt = corrupt
        self._clock = clock
        self._host = host

    def verify(self, image: ImageId, reading: PacedReading) -> OperationResult:
        """Read the image's entry, and return whether it is as its record says.

        Raises CacheUnusable, and what the watcher of `reading` raises.
        """
        work = _Work(image, self._cache.path_of(image), reading)
        try:
            return self._verify(work)
        except OSError as error:
            raise CacheUnusable(str(self._cache.directory), explain(error)) from error

    def _verify(self, work: _Work) -> OperationResult:
        for _ in range(_MOST_READS):
            with ExitStack() as opened:
                with self._cache.locks.hold(work.entry, work.reading.wait):
                    before = look_at(work.path, self._cache.records)
                    is_held = before is None or opened.enter_context(inode_held(before))
                if before is None:
                    return self._corrupt.end_absent(work.entry)
                result = self._result_of(work, before) if is_held else None
                if result is not None:
                    return result
        reason = f"it was changed or replaced during each of {_MOST_READS} reads; find out what writes {work.path}"
        _log.error("Image %s on %s cannot be verified: %s", work.image, self._host, reason)
        return OperationResult(Outcome.ERROR, reason)

    def _result_of(self, work: _Work, before: EntryLook) -> OperationResult | None:
        """Return the result; None if the entry must be looked at again."""
        if before.fault:
            return self._end_corrupt(work, before, before.fault)
        if before.why_unverifiable:
            return OperationResult(Outcome.UNVERIFIABLE, before.why_unverifiable)
        return self._compare(work, before)

    def _compare(self, work: _Work, before: EntryLook) -> OperationResult | None:
        """Read the entry and return the result; None if it must be read again."""
        try:
            digest = self._read(work, before)
        except OSError as error:
            if error.errno not in _REPLACED:
                return self._end_unreadable(work, error)
            work.digests.clear()
            return None
        with self._cache.locks.hold(work.entry, work.reading.wait):
            now = look_at(work.path, self._cache.records)
            if now is None or not now.is_same_file(before) or now.digest != before.digest:
                work.digests.clear()
                return None
            if now.digest == digest:
                return self._end_intact(work, now)
            if not now.digest and (now.is_untouched_since(before) or digest in work.digests):
                return self._end_adopted(work, now, digest)
        work.digests.append(digest)
        if not before.digest:
            return None
        if len(work.digests) > 1:
            found = f"its digest is {short_digest(digest)}, and that of its record {short_digest(before.digest)}"
            return self._end_corrupt(work, before, found)
        _log.warning(
            "The entry %s of image %s on %s has the digest %s, and its record %s; it is read again",
            work.path,
            work.image,
            self._host,
            digest,
            before.digest,
        )
        return None

    def _read(self, work: _Work, look: EntryLook) -> str:
        """Return the digest of the content. Raises OSError."""
        algorithm = look.digest.partition(":")[0] or TREE_SHA256
        watch = work.reading.of(look.size_bytes, work.read_bytes, partial(_check_there, look))
        with idle_io():
            digest = content_digest(work.path, watch, algorithm=algorithm)
        work.read_bytes += look.size_bytes
        return digest

    def _end_intact(self, work: _Work, look: EntryLook) -> OperationResult:
        record = look.record
        reason = ""
        if work.digests:
            reason = "a first read of it was wrong, so check the memory and the disk of this host"
            _log.error("Image %s on %s is intact, but %s", work.image, self._host, reason)
        if record is not None:
            whole = replace(record, fault="", corrupt_at=None)
            self._cache.records.update(replace(whole, size_bytes=look.size_bytes, verified_at=self._clock.now()))
        self._cache.alarms.clear(AlarmKind.CORRUPT, work.entry)
        return OperationResult(Outcome.INTACT, reason)

    def _end_adopted(self, work: _Work, look: EntryLook, digest: str) -> OperationResult:
        """Store what the content is now, for the next comparison."""
        if look.is_not_hashed_yet and look.record is not None:
            return self._adopted("it was not hashed yet since it was cached", replace(look.record, digest=digest))
        why = "it had no record of its content"
        if look.is_of_other_fetch and look.record is not None:
            why = f"its record is of another file, of {look.record.size_bytes} bytes in format {look.record.format}"
        adopted = replace(
            look.record or EntryRecord(image=work.image),
            digest=digest,
            source=ADOPTED,
            source_digest="",
            size_bytes=look.size_bytes,
            format=look.format or "raw",
            cached_at=None,
            verified_at=None,
        )
        return self._adopted(why, adopted)

    def _adopted(self, why: str, record: EntryRecord) -> OperationResult:
        is_stored = self._cache.records.update(replace(record, fault="", corrupt_at=None))
        self._cache.alarms.clear(AlarmKind.CORRUPT, entry_name(record.image))
        then = "the digest of what is there now is stored" if is_stored else "the log of the compute has the details"
        return OperationResult(Outcome.UNVERIFIABLE, f"{why}; {then}, so that the next verify can compare with it")

    def _end_unreadable(self, work: _Work, error: OSError) -> OperationResult:
        reason = f"the entry cannot be read: {explain(error)}"
        text = f"Image {work.image} in the cache of {self._host} cannot be verified: {reason}"
        _log.error("%s", text)
        self._cache.alarms.set(AlarmKind.CORRUPT, work.entry, work.image, text)
        return OperationResult(Outcome.ERROR, reason)

    def _end_corrupt(self, work: _Work, look: EntryLook, fault: str) -> OperationResult | None:
        """Return the result; None if the entry has changed meanwhile, so that it must be looked at again."""
        result = self._corrupt.end(work.image, look, fault, work.reading.wait)
        if result is None:
            work.digests.clear()
        return result


def _check_there(look: EntryLook) -> None:
    """Raise OSError if the name has no longer this file: its space is free only when it is closed here, too."""
    if not os.path.samestat(look.path.lstat(), look.found):
        raise OSError(None, "it was replaced while it was read", str(look.path))
