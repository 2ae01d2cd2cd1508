"""Removes an image from the cache by request, with all that is kept of it. What is in use or pinned stays.

It may be called without a job. Safe for several threads and processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable
from precache.core.images import ImageId
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.core.pins import Pin, pins_text
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.beginning_boots import wait_for_boots
from precache.imagecache.cleaning.entry_removal import EntryRemoval, Obstacle, RemovalResult
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.entry_lock import POLL_INTERVAL
from precache.imagecache.names import record_name
from precache.imagecache.os_errors import explain
from precache.ports.clock import Clock


class Purge:
    """Purges images from one cache. has_nova: whether nova-compute boots from it."""

    def __init__(
        self,
        *,
        cache: ImageCache,
        removal: EntryRemoval,
        quarantine: Quarantine,
        clock: Clock,
        has_nova: bool = True,
    ) -> None:
        self._has_nova = has_nova
        self._cache = cache
        self._removal = removal
        self._quarantine = quarantine
        self._clock = clock

    def purge(self, image: ImageId, *, even_pinned: bool, wait: Callable[[], None]) -> OperationResult:
        """Remove the image unless it is in use, or pinned; return the outcome.

        even_pinned: remove a pinned image, and its pins, so that it is not fetched again. wait: called some ten times a
        second while another uses the entry; what it raises ends the wait. Raises CacheUnusable.
        """
        try:
            return self._purge(image, even_pinned, wait)
        except OSError as error:
            raise CacheUnusable(str(self._cache.directory), explain(error)) from error

    def _purge(self, image: ImageId, even_pinned: bool, wait: Callable[[], None]) -> OperationResult:
        self._cache.check_exists()
        path = self._cache.path_of(image)
        record = self._cache.records.read(path.name)
        if record is None and not even_pinned and os.path.lexists(path.with_name(record_name(path.name))):
            return OperationResult(
                Outcome.ERROR,
                "its record cannot be used, as the log of the compute explains, so it is not known whether it is "
                "pinned; purge it with even_pinned",
            )
        if record is not None and record.pins and not even_pinned:
            return OperationResult(Outcome.ERROR, self._pinned_text(record.pins))
        result = self._remove(path, even_pinned, wait)
        if result.obstacle not in (None, Obstacle.ABSENT):
            return self._refusal(path.name, result)
        with self._cache.locks.hold(path.name, wait):
            return self._remove_rest(image, even_pinned, is_removed=result.is_removed)

    def _remove(self, path: Path, even_pinned: bool, wait: Callable[[], None]) -> RemovalResult:
        """Remove the entry when no other process works with it, and no boot has just found it."""
        while True:
            if self._has_nova:
                wait_for_boots(path, self._cache.records.read(path.name), self._clock, wait)
            result = self._removal.remove(path.name, "purged by request", even_pinned=even_pinned)
            if result.obstacle not in (Obstacle.LOCKED, Obstacle.USED_MEANWHILE):
                return result
            wait()
            self._clock.sleep(POLL_INTERVAL)

    def _remove_rest(self, image: ImageId, even_pinned: bool, *, is_removed: bool) -> OperationResult:
        """Remove what is kept beside an entry that is gone. The caller holds the lock. Raises OSError."""
        entry = self._cache.path_of(image).name
        if self._cache.holds(image):
            # Fetched again, after its removal, by another who wants it.
            return OperationResult(Outcome.PURGED, "it was removed, and another has put it into the cache again since")
        pins = self._pins(entry)
        if pins and not even_pinned:
            return OperationResult(Outcome.ERROR, self._pinned_text(pins))
        self._cache.records.remove(entry)
        self._cache.kept.remove(entry)
        is_quarantine_emptied = self._quarantine.remove(entry)
        self._cache.alarms.clear(AlarmKind.CORRUPT, entry)
        if is_removed:
            return OperationResult(Outcome.PURGED)
        return OperationResult(Outcome.ABSENT, "its corrupt copy was removed" if is_quarantine_emptied else "")

    def _refusal(self, entry: str, result: RemovalResult) -> OperationResult:
        if result.obstacle is Obstacle.IN_USE:
            return OperationResult(Outcome.IN_USE, result.detail)
        if result.obstacle is Obstacle.SERVED:
            return OperationResult(Outcome.IN_USE, f"{result.detail}; purge it after that")
        if result.obstacle is Obstacle.PINNED:
            return OperationResult(Outcome.ERROR, self._pinned_text(self._pins(entry)))
        return OperationResult(Outcome.ERROR, f"it was not removed: {result.detail}")

    def _pins(self, entry: str) -> tuple[Pin, ...]:
        record = self._cache.records.read(entry)
        return () if record is None else record.pins

    def _pinned_text(self, pins: tuple[Pin, ...]) -> str:
        return f"it is pinned {pins_text(pins, self._clock.now())}; unpin it, or purge it with even_pinned"
