"""Compares entries with their records: an entry is intact, corrupt, or cannot be verified.

The entry is read without its lock, so that no boot waits for it. Before a result counts the entry is looked at again,
under the lock: it must still be the file that was read. Only two reads that differ from the record make an entry
corrupt, because one may be wrong by a fault of the memory or the disk. A corrupt entry is moved to the quarantine. If a
guest uses it, it stays, with an alarm.

An entry without a digest is adopted: it is read once, and the digest is stored for the next time. Safe for several
threads and processes.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from precache.core.cache_entries import AlarmKind, Removal
from precache.core.errors import CacheUnusable, EntryCorrupt
from precache.core.images import ImageId
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.core.text import short_digest
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.beginning_boots import wait_for_boots
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.disks.overlay_list import remove_overlays
from precache.imagecache.names import entry_name
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_record import ADOPTED, EntryRecord
from precache.imagecache.verification.content_digest import TREE_SHA256, content_digest
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
    """Verifies entries of one cache. host: for the log. has_nova: whether nova-compute boots from the cache."""

    def __init__(
        self,
        *,
        cache: ImageCache,
        removal: EntryRemoval,
        quarantine: Quarantine,
        clock: Clock,
        host: str,
        has_nova: bool = True,
    ) -> None:
        self._has_nova = has_nova
        self._cache = cache
        self._removal = removal
        self._quarantine = quarantine
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

    def move_faulty(self, image: ImageId, reading: PacedReading) -> None:
        """Move the image's entry to the quarantine if it is known to be corrupt without a read of its content.

        Then it can be fetched again. Raises EntryCorrupt if it stays, CacheUnusable, and what the watcher of `reading`
        raises.
        """
        work = _Work(image, self._cache.path_of(image), reading)
        try:
            # Most entries have no fault; so the lock is taken only if one is seen without it.
            while _known_fault(look_at(work.path, self._cache.records)):
                with self._cache.locks.hold(work.entry, reading.wait):
                    look = look_at(work.path, self._cache.records)
                if look is None or not (fault := _known_fault(look)):
                    return
                result = self._end_corrupt(work, look, fault)
                if result is not None and os.path.lexists(work.path):
                    raise EntryCorrupt(image, str(work.path), result.reason)
        except PermissionError:
            return  # it is not known to be corrupt; its boots run as another user, who may read it
        except OSError as error:
            raise CacheUnusable(str(self._cache.directory), explain(error)) from error

    def set_alarms(self) -> None:
        """Set the alarms of the entries that earlier processes have found corrupt, and that had to stay."""
        with suppress(OSError), self._cache.records.reader() as read:
            for entry in self._cache.records.entries():
                record, path = read(entry), self._cache.directory / entry
                if record is not None and record.fault and os.path.lexists(path):
                    text = _stays_text(path, record.image, self._host, record.fault)
                    self._cache.alarms.set(AlarmKind.CORRUPT, entry, record.image, text, record.corrupt_at)

    def _verify(self, work: _Work) -> OperationResult:
        for _ in range(_MOST_READS):
            with ExitStack() as opened:
                with self._cache.locks.hold(work.entry, work.reading.wait):
                    before = look_at(work.path, self._cache.records)
                    is_held = before is None or opened.enter_context(inode_held(before))
                if before is None:
                    return self._end_absent(work)
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

    def _end_absent(self, work: _Work) -> OperationResult:
        """Return that the image is not there; or that it was corrupt, also if the process that found that has died.

        Raises CacheUnusable.
        """
        self._cache.check_exists()
        self._cache.alarms.clear(AlarmKind.CORRUPT, work.entry)
        copy = self._quarantine.copy_text(work.entry)
        if not copy:
            return OperationResult(Outcome.ABSENT)
        return OperationResult(Outcome.CORRUPT, f"it is not in the cache; {copy}; a purge of the image removes it")

    def _end_intact(self, work: _Work, look: EntryLook) -> OperationResult:
        record = look.record
        reason = ""
        if work.digests:
            reason = "a first read of it was wrong, so check the memory and the disk of this host"
            _log.error("Image %s on %s is intact, but %s", work.image, self._host, reason)
        if record is not None:
            whole = replace(record, fault="", corrupt_at=None)
            self._store(replace(whole, size_bytes=look.size_bytes, verified_at=self._clock.now()))
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
        is_stored = self._store(replace(record, fault="", corrupt_at=None))
        self._cache.alarms.clear(AlarmKind.CORRUPT, entry_name(record.image))
        then = "the digest of what is there now is stored" if is_stored else "the log of the compute has the details"
        return OperationResult(Outcome.UNVERIFIABLE, f"{why}; {then}, so that the next verify can compare with it")

    def _store(self, record: EntryRecord) -> bool:
        """Store the record and return True; log an error of the disk. The caller holds the lock."""
        try:
            self._cache.records.write(record)
        except OSError as error:
            _log.warning("The record of image %s on %s cannot be written: %s", record.image, self._host, explain(error))
            return False
        return True

    def _end_unreadable(self, work: _Work, error: OSError) -> OperationResult:
        reason = f"the entry cannot be read: {explain(error)}"
        self._report(work, f"Image {work.image} in the cache of {self._host} cannot be verified: {reason}")
        return OperationResult(Outcome.ERROR, reason)

    def _end_corrupt(self, work: _Work, look: EntryLook, fault: str) -> OperationResult | None:
        """Move the entry to the quarantine, unless it is in use; return None if it has changed meanwhile."""
        if self._has_nova:
            wait_for_boots(work.path, look.record, self._clock, work.reading.wait)
        with self._cache.locks.hold(work.entry, work.reading.wait):
            now = look_at(work.path, self._cache.records)
            if now is None or not now.is_same_file(look) or now.digest != look.digest:
                work.digests.clear()
                return None
            use = self._removal.use_of(work.entry)
            if use is not None:
                reason = f"{fault}; it stays, because {use.detail}"
                self._report(work, _stays_text(work.path, work.image, self._host, reason))
                if now.record is not None and now.record.fault != fault:
                    self._store(replace(now.record, fault=fault, corrupt_at=self._clock.now()))
                return OperationResult(Outcome.CORRUPT, reason)
            return OperationResult(Outcome.CORRUPT, f"{fault}; {self._move(work, now)}")

    def _move(self, work: _Work, look: EntryLook) -> str:
        """Move the entry to the quarantine, and return what was done. The caller holds the lock. Raises OSError."""
        moved_to = self._quarantine.move(work.entry)
        now, record = self._clock.now(), look.record
        is_pinned = record is not None and bool(record.pins)
        if record is None or not is_pinned:
            self._cache.records.remove(work.entry)
        elif record.fault:
            self._store(replace(record, fault="", corrupt_at=None))
        remove_overlays(self._cache.directory, work.entry)
        self._cache.locks.remove_file(work.entry)
        done = "it was removed, because the disk has no space to keep it"
        if moved_to is not None:
            done = f"it was moved to {moved_to}"
        then = "the next boot or job fetches the image again"
        if is_pinned:
            then = "it is pinned, so it is fetched again if [image_cache] restore_pinned is on"
        self._cache.removals.note(Removal(work.entry, work.image, now, f"corrupt; {done}"))
        self._cache.alarms.clear(AlarmKind.CORRUPT, work.entry)
        _log.error("The entry %s of image %s on %s was corrupt; %s", work.path, work.image, self._host, done)
        return f"{done}; {then}"

    def _report(self, work: _Work, text: str) -> None:
        _log.error("%s", text)
        self._cache.alarms.set(AlarmKind.CORRUPT, work.entry, work.image, text)


def _stays_text(path: Path, image: ImageId, host: str, reason: str) -> str:
    return (
        f"The entry {path} of image {image} on {host} is corrupt: {reason}. Disks made on it are wrong, too: rebuild "
        "these instances, then verify the image again"
    )


def _known_fault(look: EntryLook | None) -> str:
    """Return what is wrong with the entry, as far as that is known; empty for what every fetch replaces or refuses."""
    if look is None:
        return ""
    mode = look.found.st_mode
    if not (stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and look.size_bytes)):
        return ""
    return look.fault or ("" if look.record is None else look.record.fault)


def _check_there(look: EntryLook) -> None:
    """Raise OSError if the name has no longer this file: its space is free only when it is closed here, too."""
    if not os.path.samestat(look.path.lstat(), look.found):
        raise OSError(None, "it was replaced while it was read", str(look.path))
