"""Which entries of a cache are evicted to make space: the least valuable first, until enough is free.

The policy says which entry is the least valuable. What is pinned, in use or in flight is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from precache.core.cache_entries import CacheSpace
from precache.core.sizes import NOTHING, DiskAmount, human_bytes
from precache.rules.expiry import ExpiryLimits


class CachePolicy(StrEnum):
    """What a host removes from a cache that Precache owns.

    AGE: what is unused for long enough. LRU: what was used least recently, for space. POPULARITY: what was used by the
    fewest disks, for space. KEEP: nothing.
    """

    AGE = "age"
    LRU = "lru"
    POPULARITY = "popularity"
    KEEP = "keep"

    @property
    def choice(self) -> str:
        """Return why an entry is evicted and another is not, in words."""
        return "least used" if self is CachePolicy.POPULARITY else "least recently used"


@dataclass(frozen=True, slots=True)
class Watermarks:
    """When eviction begins and where it ends; None for a mark that is not set.

    above_used, to_used: what the files of the cache use. below_free, to_free: what is free in its file system.
    If both pairs are set, one of them begins the eviction, and both end it.
    """

    above_used: DiskAmount | None = None
    to_used: DiskAmount | None = None
    below_free: DiskAmount | None = None
    to_free: DiskAmount | None = None

    @property
    def are_set(self) -> bool:
        return self.above_used is not None or self.below_free is not None

    def passed(self, space: CacheSpace) -> str:
        """Return which mark is passed, in words; empty if none is."""
        total, used, free = space.total_bytes, space.used_bytes, space.free_bytes
        if self.above_used is not None and used > self.above_used.of(total):
            return f"the cache uses {human_bytes(used)}, more than evict_above_used = {self.above_used}"
        if self.below_free is not None and free < self.below_free.of(total):
            return f"{human_bytes(free)} are free, less than evict_below_free = {self.below_free}"
        return ""

    def bytes_to_evict(self, space: CacheSpace) -> int:
        """Return how many bytes must go; 0 if no mark is passed."""
        if not self.passed(space):
            return 0
        needed = [0]
        if (to_used := self.above_used if self.to_used is None else self.to_used) is not None:
            needed.append(space.used_bytes - to_used.of(space.total_bytes))
        if (to_free := self.below_free if self.to_free is None else self.to_free) is not None:
            needed.append(to_free.of(space.total_bytes) - space.free_bytes)
        return max(needed)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How a cache is cleaned. limits: of `age`. removes_unused: False to look after what is in use and remove nothing.

    makes_room: evict also for an image that does not fit.
    """

    limits: ExpiryLimits
    removes_unused: bool = True
    policy: CachePolicy = CachePolicy.AGE
    watermarks: Watermarks = Watermarks()
    makes_room: bool = False

    @property
    def low_mark(self) -> DiskAmount:
        """Return what must be free beside an image that is fetched, so that no pass evicts it at once.

        Only if room can be made for it: else it may take what is free, and the next pass evicts others.
        """
        mark = self.watermarks.below_free
        return mark if self.makes_room and mark is not None else NOTHING


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file of the cache. size_bytes: that its removal frees. disks_seen: how many disks have stood on it so far."""

    name: str
    unused_for: timedelta
    size_bytes: int
    disks_seen: int = 0
    is_pinned: bool = False
    is_in_use: bool = False
    is_in_flight: bool = False

    @property
    def is_evictable(self) -> bool:
        return not (self.is_pinned or self.is_in_use or self.is_in_flight)


def least_valuable_first(candidates: Iterable[Candidate], policy: CachePolicy) -> list[Candidate]:
    """Return the evictable ones: those that are unused for the longest time first; with `popularity` the least used.

    Ties are decided by name. With `keep` there are none.
    """
    if policy is CachePolicy.KEEP:
        return []
    found = [candidate for candidate in candidates if candidate.is_evictable]
    if policy is CachePolicy.POPULARITY:
        return sorted(found, key=lambda each: (each.disks_seen, -each.unused_for, each.name))
    return sorted(found, key=lambda each: (-each.unused_for, each.name))


def choose_evicted(
    candidates: Iterable[Candidate], needed_bytes: int, policy: CachePolicy, *, all_or_nothing: bool
) -> list[Candidate]:
    """Return what to evict so that at least so many bytes are freed, in the order of removal.

    No entry goes before one that is less valuable, except one whose removal frees nothing; without the last one, it
    would not be enough. If all evictable ones are not enough, they are all returned; with all_or_nothing none is.
    """
    chosen, freed = list[Candidate](), 0
    for candidate in least_valuable_first(candidates, policy):
        if freed >= needed_bytes:
            break
        if candidate.size_bytes > 0:
            chosen.append(candidate)
            freed += candidate.size_bytes
    return [] if all_or_nothing and freed < needed_bytes else chosen
