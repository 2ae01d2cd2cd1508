"""The image cache on a host's disk, shared with nova-compute where one runs.

An entry is always verified and complete. It is made, used and removed only under its lock. Safe for many threads and
processes. Nothing here knows where images come from.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from precache.core.cache_entries import AlarmKind, CacheSpace
from precache.core.errors import CacheUnusable, ImageNotCached, NotEnoughSpace
from precache.core.free_space import FreeSpace
from precache.core.images import ImageId
from precache.core.sizes import NOTHING, DiskAmount
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.cleaning.orphans import remove_orphaned_records, remove_orphans, remove_temporary_files
from precache.imagecache.cleaning.removal_log import RemovalLog
from precache.imagecache.disks.directory_mark import mark_directory
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.keep_limits import KeepLimits
from precache.imagecache.kept_downloads import KeptDownloads
from precache.imagecache.names import entry_name
from precache.imagecache.os_errors import DISK_FULL, explain, why_full
from precache.imagecache.ownership import check_writable, make_directory
from precache.imagecache.publish import publish
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.records.pin_copies import PinCopies
from precache.imagecache.served_entries import ServedEntries
from precache.imagecache.space.disk_usage import allocated_bytes, disk_size
from precache.imagecache.space.space_ledger import MakeRoom, SpaceLedger
from precache.imagecache.staging import Fetched, Staging
from precache.imagecache.verification.missing_digests import MissingDigests
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

T = TypeVar("T")


def _wait_patiently() -> None:
    """Wait for a lock without a limit."""


class ImageCache:
    """The entries in `directory`, locked in `locks_directory`: Nova's `<instances_path>/_base` and `.../locks`."""

    def __init__(
        self,
        *,
        directory: Path,
        locks_directory: Path,
        clock: Clock,
        keep_limits: KeepLimits | None = None,
        reserve: DiskAmount = NOTHING,
        low_mark: DiskAmount = NOTHING,
        pins_directory: Path | None = None,
    ) -> None:
        """keep_limits: of paused downloads. reserve: what no image may take of the disk. low_mark: as for SpaceLedger.

        pins_directory: for copies of the pins, outside of the cache, which may be emptied; None for no copies.
        """
        self.directory = directory
        self._pins_directory = pins_directory
        self.locks = EntryLocks(directory=locks_directory, clock=clock)
        copies = None if pins_directory is None else PinCopies(directory=pins_directory, clock=clock)
        self.records = EntryRecords(directory=directory, clock=clock, copies=copies)
        self.alarms = CacheAlarms(clock=clock)
        self.removals = RemovalLog()
        self.served = ServedEntries()
        self.kept = KeptDownloads(
            directory=directory, locks=self.locks, clock=clock, limits=keep_limits or KeepLimits()
        )
        self.ledger = SpaceLedger(directory=directory, clock=clock, reserve=reserve, low_mark=low_mark)
        self.digests = MissingDigests(directory=directory, locks=self.locks, records=self.records, clock=clock)
        self._clock = clock
        self._cache_id = ""

    @property
    def cache_id(self) -> str:
        """Return what identifies the directory, also on other hosts that share it. Raises CacheUnusable."""
        if not self._cache_id:
            with _explained(self.directory):
                self._cache_id = mark_directory(self.directory)
        return self._cache_id

    def start(self) -> None:
        """Create the directories if absent, and remove what dead processes left.

        Raises CacheUnusable if the cache cannot be used.
        """
        for directory in (self.directory, self.locks.directory):
            with _explained(directory):
                make_directory(directory)
                check_writable(directory)
        with _explained(self.directory):
            remove_orphans(self.directory, self.locks, self.records)
            if self._pins_directory is not None and self._pins_directory.is_dir():
                remove_temporary_files(self._pins_directory, self.locks)

    def remove_orphaned_records(self) -> None:
        """Remove the records of entries that another program has removed, unless they have pins. Raises CacheUnusable.

        Temporary files are left to `start`: on a shared cache without shared locks those of other hosts look dead.
        """
        with _explained(self.directory):
            remove_orphaned_records(self.directory, self.locks, self.records)

    def check_exists(self) -> None:
        """Raise CacheUnusable if the directory is not there, as when it is not mounted."""
        with _explained(self.directory):
            self.directory.stat()

    def path_of(self, image: ImageId) -> Path:
        """Return the path that the image's entry has, or would have."""
        return self.directory / entry_name(image)

    def holds(self, image: ImageId) -> bool:
        """Return whether the entry is there, without a lock: an entry gets its name when it is complete.

        Raises CacheUnusable.
        """
        with _explained(self.directory):
            return _is_present(self.path_of(image))

    def held_bytes(self, image: ImageId) -> int | None:
        """Return what the entry occupies on the disk, without its holes; None if it is not there. Takes no lock.

        Raises CacheUnusable.
        """
        with _explained(self.directory), suppress(FileNotFoundError):
            return allocated_bytes(self.path_of(image).stat())
        return None

    def free_space(self, images: Iterable[ImageId]) -> FreeSpace:
        """Return the free space for these images, and what of it is promised to others or reserved.

        Raises CacheUnusable.
        """
        with _explained(self.directory):
            return self.ledger.free_space(without=frozenset(map(entry_name, images)))

    def space(self, used_bytes: int | None = None) -> CacheSpace:
        """Return the space of the cache and of its disk. Raises CacheUnusable.

        used_bytes: by the files of the cache, if the caller knows it.
        """
        with _explained(self.directory):
            return self.ledger.cache_space(used_bytes)

    def ensure(
        self,
        image: ImageId,
        produce: Callable[[Staging], Fetched],
        wait: Callable[[], None] = _wait_patiently,
        make_room: MakeRoom | None = None,
    ) -> bool:
        """Make the entry if it is absent; return whether it was made now. Its expiry restarts.

        produce: makes the complete file in the staging. It runs under the entry's lock: a boot from this image, or a
            second request, waits for it and then finds the entry. Only the entry is kept.
        wait: called some ten times a second while another has the lock; what it raises ends the wait.
        make_room: called with the missing bytes if the image does not fit; then the space is checked again.
        Raises CacheUnusable, NotEnoughSpace, and what `produce` and `wait` raise; then no temporary file is left,
        except what is kept of a paused download.
        """
        path = self.path_of(image)
        with self.locks.hold(path.name, wait):
            with _explained(self.directory):
                if _is_present(path):
                    _touch(path, self._clock.now())
                    self.kept.remove(path.name)  # nova-compute has fetched the image meanwhile
                    self._end_alarms(path.name)
                    return False
            self._fill(
                image,
                Staging(self.directory, path.name, kept=self.kept, ledger=self.ledger, make_room=make_room),
                produce,
            )
            self._end_alarms(path.name)
            return True

    def use(self, image: ImageId, consume: Callable[[Path], T], wait: Callable[[], None] = _wait_patiently) -> T:
        """Call `consume` with the entry's path under its lock, so that no cleaner removes it, and return its result.

        The entry's expiry restarts. Raises ImageNotCached, CacheUnusable if the age cannot be reset, and what `consume`
        and `wait` raise.
        """
        path = self.path_of(image)
        with self.locks.hold(path.name, wait):
            with _explained(self.directory):
                if not _is_present(path):
                    raise ImageNotCached(image, str(self.directory))
                _reset_age(path, self._clock.now())
            return consume(path)

    def _end_alarms(self, entry: str) -> None:
        """Note that the entry is there. The caller holds its lock."""
        self.alarms.clear(AlarmKind.MISSING, entry)
        self.alarms.clear(AlarmKind.NOT_RESTORED, entry)

    def _fill(self, image: ImageId, staging: Staging, produce: Callable[[Staging], Fetched]) -> None:
        path = self.directory / staging.entry
        try:
            with _explained(self.directory, image), staging.alive():
                fetched = produce(staging)
                # Before the entry has its name: the kept data may be the same file, and would be changed later.
                self.kept.remove(path.name)
                self._publish(fetched, path, staging)
        finally:
            try:
                staging.discard()
            except OSError as error:
                _log.warning("Temporary files of image %s are left in %s: %s", image, self.directory, explain(error))

    def _publish(self, fetched: Fetched, path: Path, staging: Staging) -> None:
        now = self._clock.now()
        record = replace(fetched.record, size_bytes=fetched.entry.lstat().st_size, cached_at=now)
        self.records.describe(record, staging)
        try:
            publish(fetched.entry, path, now)
        except BaseException:
            self.records.withdraw(path.name)
            raise
        if not record.digest:
            self.digests.add(path.name)


def _is_present(path: Path) -> bool:
    if path.is_dir():
        raise FileExistsError(None, "a directory is where the image should be; move it elsewhere", str(path))
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if size == 0:
        # No image is empty: the process that made this file died before the first byte. Nova would boot from it.
        _log.warning("The entry %s is empty and will be fetched again", path)
    return size > 0


def _reset_age(path: Path, now: datetime) -> None:
    os.utime(path, (now.timestamp(), now.timestamp()), follow_symlinks=False)


def _touch(path: Path, now: datetime) -> None:
    if path.is_symlink():
        # Nova accepts a link, and reads the age of its target. The target may be any file of the host: do not touch it.
        _log.warning(
            "The entry %s is a symbolic link: the expiry of its target could not be restarted; remove the link, and "
            "the next request fetches the image",
            path,
        )
    try:
        _reset_age(path, now)
    except PermissionError:
        # The entry can be used; only its expiry is not restarted.
        _log.warning(
            "The expiry of %s could not be restarted, because the file belongs to another user; "
            "run the compute as the owner of the cache or as root",
            path,
        )


@contextmanager
def _explained(directory: Path, image: ImageId | None = None) -> Iterator[None]:
    """Translate errors of the disk."""
    try:
        yield
    except OSError as error:
        if image is not None and error.errno in DISK_FULL:
            free = FreeSpace(disk_size(directory).free_bytes)
            raise NotEnoughSpace(image, free, str(directory), why=why_full(error, directory)) from error
        raise CacheUnusable(str(directory), explain(error)) from error
