"""The ledger of a disk: what fetches have promised to write to it, so that two do not count on the same free space.

Processes that fill the same directory see each other's promises, and a process sees those of all directories of the
same file system that it fills. Nothing here decides what an image needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from precache.core.cache_entries import CacheSpace
from precache.core.free_space import FreeSpace
from precache.core.sizes import NOTHING, DiskAmount
from precache.imagecache.space.disk_usage import DiskSize, directory_bytes, disk_size
from precache.imagecache.space.ledger_disk import LedgerDisk
from precache.imagecache.space.promise_file import PromiseFile, left_of, promises_in
from precache.ports.clock import Clock

MakeRoom = Callable[[int], int]
"""Removes entries from the cache until so many more bytes are free, if it can; returns the bytes that it freed.

Called without a lock of the ledger, by a fetch that holds the lock of its own entry: it must not wait for the locks of
entries."""


class Promise:
    """What one fetch has still to write. For the threads of that fetch; they do not call it at once."""

    def __init__(self, ledger: SpaceLedger, file: PromiseFile, make_room: MakeRoom | None) -> None:
        self._ledger, self._file, self._make_room = ledger, file, make_room

    def set(self, pending: Mapping[str, int]) -> FreeSpace | None:
        """Promise these bytes for the files of these kinds, in place of what was promised.

        Return None, or the free space that is too little; then nothing has changed. Less than was promised always
        fits. Raises OSError, CacheUnusable.
        """
        refused = self._try(pending)
        if refused is None or self._make_room is None:
            return refused
        # One at a time: otherwise another would promise itself the room, and this would have removed entries in vain.
        with self._ledger.disk.making_room() as may_make_room:
            refused = self._try(pending)
            if refused is not None and may_make_room:
                self._make_room(refused.missing_bytes(sum(pending.values())))
                refused = self._try(pending)
        return refused

    def end(self) -> None:
        """Take the promise back; harmless if there is none."""
        self._file.remove()

    def _try(self, pending: Mapping[str, int]) -> FreeSpace | None:
        needed = sum(pending.values())
        with self._ledger.disk.exclusively():
            space = self._ledger.free_space(without=(self._file.name,))
            if space.missing_bytes(needed) and needed > self._file.left():
                return space
            self._file.write(pending)
        return None


class SpaceLedger:
    """The promises on the file system of `directory`, and what is reserved there. For any number of threads.

    Objects and processes for one directory exclude each other. low_mark: below which what is free begins an eviction,
    which would take what was just fetched; NOTHING if fetches may go below it. disk_size: tests pass one of their own.
    """

    def __init__(
        self,
        *,
        directory: Path,
        clock: Clock,
        reserve: DiskAmount = NOTHING,
        low_mark: DiskAmount = NOTHING,
        disk_size: Callable[[Path], DiskSize] = disk_size,
    ) -> None:
        self.directory = directory
        self.disk = LedgerDisk(directory=directory, clock=clock)
        self._reserve, self._low_mark, self._disk_size = reserve, low_mark, disk_size

    @contextmanager
    def promise(self, entry: str, token: str, make_room: MakeRoom | None = None) -> Iterator[Promise]:
        """Return the promise of a fetch into this staging, of nothing yet; it ends with the block."""
        promise = Promise(self, PromiseFile(directory=self.directory, entry=entry, token=token), make_room)
        try:
            yield promise
        finally:
            promise.end()

    def free_space(self, without: Collection[str] = ()) -> FreeSpace:
        """Return the free space and what of it is promised and reserved. Raises OSError.

        without: entries of this directory, or names of promises, that do not count. Without the lock of the disk it may
        be late by moments.
        """
        # The promises first: what is written between the two counts twice, and never not at all.
        promised = self._promised(without)
        disk = self._disk_size(self.directory)
        reserve_bytes, mark_bytes = self._reserve.of(disk.total_bytes), self._low_mark.of(disk.total_bytes)
        space = FreeSpace(disk.free_bytes, sum(promised), len(promised), reserve_bytes)
        if mark_bytes <= reserve_bytes:
            return space
        return replace(space, reserve_bytes=mark_bytes, reserve_option="evict_below_free")

    def cache_space(self, used_bytes: int | None = None) -> CacheSpace:
        """Return the space of the cache and of its disk, for the inventory; reads no file. Raises OSError.

        used_bytes: by the files of the cache, if the caller knows it.
        """
        space = self.free_space()
        return CacheSpace(
            total_bytes=self._disk_size(self.directory).total_bytes,
            free_bytes=space.free_bytes,
            used_bytes=directory_bytes(self.directory) if used_bytes is None else used_bytes,
            promised_bytes=space.promised_bytes,
            reserve_bytes=space.reserve_bytes,
        )

    def _promised(self, without: Collection[str]) -> list[int]:
        """Return what is left of each promise that has something left. Raises OSError."""
        left = [left_of(path) for path in promises_in(self.directory, without)]
        for directory in self.disk.other_directories():
            with suppress(OSError):  # it may be gone since then
                left += [left_of(path) for path in promises_in(directory)]
        return [count for count in left if count]
