"""Removes files from a cache that no nova-compute cleans: what has expired, and what must go to make space.

One pass: find what is in use, reset the age of that, remove what has expired (`rules/expiry.py`), and evict what the
policy values least if a watermark is passed (`rules/eviction.py`). Each file is removed under its own lock, after a
second check of what is in use. What is pinned stays. In doubt nothing is removed. One pass at a time for each cache,
over all processes. The first pass after a start removes nothing, because file systems may not be mounted or guests
not be defined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.batch_removal import BatchRemoval
from precache.imagecache.cleaning.cache_inspection import Inspection, list_files
from precache.imagecache.cleaning.clean_on_request import clean_on_request
from precache.imagecache.cleaning.cleaner_memory import CleanerMemory
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.entry_lock import POLL_INTERVAL, EntryLocks
from precache.ports.clock import Clock
from precache.rules.eviction import CachePolicy, Cleaning, choose_evicted

_log = logging.getLogger(__name__)

_PATIENCE = timedelta(seconds=10)
"""How long a pass, an eviction or an operator's request waits for the end of a running pass."""

_LOCK_PREFIX = ".precache-"
_LOCK = "cleaner.lock"

_BUSY = "another pass over this cache has not ended, of this compute or of another Precache that cleans the same cache"
_ABSENT = "there is nothing in the cache"


class Cleaner:
    """The cleaner of one cache. For any number of threads.

    may_clean: returns why this host does not clean, because another does for all that share the cache; empty if it
        does. Each host makes room for the images that it fetches.
    is_shared: returns whether other hosts clean the same cache, as they should: by turns.
    """

    def __init__(
        self,
        *,
        cache: ImageCache,
        removal: EntryRemoval,
        clock: Clock,
        cleaning: Cleaning,
        may_clean: Callable[[], str] = lambda: "",
        is_shared: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cache = cache
        self._removal = removal
        self._clock = clock
        self._cleaning = cleaning
        self._may_clean = may_clean
        self._is_shared = is_shared
        self._batches = BatchRemoval(locks=cache.locks, removal=removal)
        self._memory = CleanerMemory(directory=cache.directory, clock=clock)
        self._locks = EntryLocks(directory=cache.directory, clock=clock, prefix=_LOCK_PREFIX)
        self._passes = 0
        self._told: set[str] = set()

    def clean(self) -> list[str]:
        """Make one pass and return the names that were removed. Raises CacheUnusable if the cache cannot be read."""
        if not self._cache.directory.is_dir():
            self._passes += 1
            return []  # as Nova: nothing is cached yet
        with self._after_other_passes() as is_held:
            is_foreign = not is_held and not self._is_shared()
            self._tell_once("lock", is_foreign, f"No pass over {self._cache.directory} was made: {_BUSY}")
            return self._pass() if is_held else []

    def make_room(self, needed_bytes: int, image: str) -> int:
        """Evict what the policy values least until so many more bytes are free; return the bytes that were freed.

        If that cannot be reached, nothing is evicted. image: for which room is made, for the log. Raises CacheUnusable.
        """
        if not self._cleaning.makes_room or not self._passes:
            return 0
        with self._after_other_passes() as is_held:
            found = self._inspect() if is_held else ""
            if isinstance(found, str):
                return 0
            reason = f"room for image {image}: {self._cleaning.policy.choice}"
            return self._evict(found, needed_bytes, reason, all_or_nothing=True)[1]

    def clean_now(self, request: CleanRequest) -> CleanResult:
        """Remove at once what the request says; a dry run changes nothing. Raises CacheUnusable."""
        if request.is_dry_run:
            return self._clean_now(request)
        if reason := self._may_clean():
            return self._refused(reason)
        if not self._cache.directory.is_dir():
            return self._refused(_ABSENT)
        with self._after_other_passes() as is_held:
            return self._clean_now(request) if is_held else self._refused(f"{_BUSY}; try again")

    def _clean_now(self, request: CleanRequest) -> CleanResult:
        found = self._inspect()
        if isinstance(found, str):
            return self._refused(found)
        return clean_on_request(found, request, self._cleaning, self._removal, self._batches)

    def _refused(self, reason: str) -> CleanResult:
        return CleanResult(policy=self._cleaning.policy.value, refused=reason)

    def _pass(self) -> list[str]:
        self._passes += 1
        found = self._inspect()
        if isinstance(found, str):
            return []
        self._memory.store(found.known)
        for name in found.disks:
            self._removal.reset_age(name)
        if self._passes == 1 or not self._cleaning.removes_unused:
            return []
        reason = self._may_clean()
        self._tell_once("may", bool(reason), f"Nothing is removed from {self._cache.directory}: {reason}")
        return [] if reason else self._expire(found) + self._evict_above_marks()

    def _inspect(self) -> Inspection | str:
        """Return what is in the cache; or why that is not known."""
        files = list_files(self._cache.directory, self._removal)
        if files is None:
            return _ABSENT
        usage = self._removal.usage()
        if usage.disks is None:
            return f"it is not known what is in use: {usage.doubt}"
        disks = {name: usage.disks[name] for name in files if name in usage.disks}
        known = self._memory.recall({name: file.last_used for name, file in files.items()}, disks)
        return Inspection(files, disks, known, self._cache.space(), usage.lateness)

    def _expire(self, found: Inspection) -> list[str]:
        if self._cleaning.policy is not CachePolicy.AGE:
            return []
        expired = found.expired(self._cleaning.limits)
        results = self._batches.remove_each([(file, found.unused_text(file)) for file in expired])
        return [file.name for file, result in zip(expired, results, strict=True) if result.is_removed]

    def _evict_above_marks(self) -> list[str]:
        """Evict from the high mark down to the low one."""
        marks = self._cleaning.watermarks
        if not marks.are_set or not marks.passed(self._cache.space()):
            self._tell_once("marks", False, "")
            return []
        found = self._inspect()  # again: the removal of what has expired takes its time
        if isinstance(found, str):
            return []
        needed, passed = marks.bytes_to_evict(found.space), marks.passed(found.space)
        reason = f"{passed}: {self._cleaning.policy.choice}"
        removed, freed = self._evict(found, needed, reason, all_or_nothing=False)
        too_little = f"Too much is left in {self._cache.directory} for its marks, all in use, pinned or in flight: "
        self._tell_once("marks", freed < needed, too_little + passed)
        return removed

    def _evict(
        self, found: Inspection, needed_bytes: int, reason: str, *, all_or_nothing: bool
    ) -> tuple[list[str], int]:
        """Return what was evicted, and the bytes that this freed."""
        removed, tried, freed = list[str](), set[str](), 0
        while freed < needed_bytes:
            # Chosen again after each obstacle: without that file, others may have to go.
            candidates, left = found.candidates(in_flight=tried), needed_bytes - freed
            chosen = choose_evicted(candidates, left, self._cleaning.policy, all_or_nothing=all_or_nothing)
            if not chosen:
                break
            results = self._batches.remove_all([found.files[candidate.name] for candidate in chosen], reason)
            for candidate, result in zip(chosen, results, strict=False):  # the first dozens of them
                if result is not None:
                    tried.add(candidate.name)
                    freed += result.bytes_freed
                    removed += [candidate.name] if result.is_removed else []
        return removed, freed

    @contextmanager
    def _after_other_passes(self) -> Iterator[bool]:
        """Exclude passes, also of other processes; yield False if one does not end in time."""
        until = self._clock.uptime() + _PATIENCE
        while True:
            with self._locks.hold_if_free(_LOCK) as is_held:
                if is_held or self._clock.uptime() >= until:
                    yield is_held
                    return
            self._clock.sleep(POLL_INTERVAL)

    def _tell_once(self, about: str, is_so: bool, message: str) -> None:
        """Log the message when it becomes so, and not again until it was otherwise."""
        if is_so and about not in self._told:
            _log.warning("%s", message)
        (self._told.add if is_so else self._told.discard)(about)
