"""Many files are removed with one look at the disks, which is as good as a look for each."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from precache.adapters.clock_memory import MemoryClock
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.batch_removal import MOST_AT_ONCE, BatchRemoval
from precache.imagecache.cleaning.entry_removal import EntryRemoval, Obstacle
from precache.imagecache.disks.in_use import InstanceDisks
from precache.rules.expiry import CacheFile
from tests.unit.imagecache.cleaning.test_cleaner import Domains, names, put, put_overlay


class LookingDisks(InstanceDisks):
    """Notes at each look which locks are free."""

    def __init__(self, cache: ImageCache) -> None:
        super().__init__(instances_path=cache.directory.parent, cache_directory=cache.directory, domains=Domains())
        self.cache = cache
        self.looks: list[set[str]] = []

    def disks_by_file(self) -> dict[str, tuple[Path, ...]]:
        free = set()
        for name in names(self.cache):
            with self.cache.locks.hold_if_free(name) as is_held:
                free |= {name} if is_held else set()
        self.looks.append(free)
        return super().disks_by_file()


def files_of(cache: ImageCache, clock: MemoryClock, removal: EntryRemoval, count: int) -> list[CacheFile]:
    found = []
    for number in range(count):
        put(cache, f"{number:040}", clock, age=timedelta(days=9))
        file = removal.look(f"{number:040}")
        assert file is not None
        found.append(file)
    return found


def test_the_disks_are_looked_at_once_for_each_batch_while_its_locks_are_held(
    cache: ImageCache, clock: MemoryClock
) -> None:
    disks = LookingDisks(cache)
    removal = EntryRemoval(cache=cache, disks=disks, clock=clock)
    files = files_of(cache, clock, removal, MOST_AT_ONCE + 1)
    put_overlay(cache.directory.parent / "instance-1" / "disk", cache.directory / files[0].name)

    results = list(BatchRemoval(locks=cache.locks, removal=removal).remove_each([(file, "a test") for file in files]))

    assert [result.obstacle for result in results] == [Obstacle.IN_USE, *[None] * MOST_AT_ONCE]
    assert names(cache) == {files[0].name}
    assert disks.looks == [{files[-1].name}, {files[0].name}]


def test_of_files_that_must_go_together_none_goes_if_one_must_stay(cache: ImageCache, clock: MemoryClock) -> None:
    removal = EntryRemoval(cache=cache, disks=LookingDisks(cache), clock=clock)
    batches = BatchRemoval(locks=cache.locks, removal=removal)
    files = files_of(cache, clock, removal, 3)

    with cache.locks.hold_if_free(files[1].name):
        refused = batches.remove_all(files, "a test")
    left = names(cache)
    done = batches.remove_all(files, "a test")

    assert [result and result.obstacle for result in refused] == [None, Obstacle.LOCKED, None]
    assert left == {file.name for file in files}
    assert [result is not None and result.is_removed for result in done] == [True, True, True]
    assert names(cache) == set()


def test_a_file_that_was_used_since_it_was_looked_at_stays(cache: ImageCache, clock: MemoryClock) -> None:
    removal = EntryRemoval(cache=cache, disks=LookingDisks(cache), clock=clock)
    files = files_of(cache, clock, removal, 1)
    put(cache, files[0].name, clock)

    (result,) = BatchRemoval(locks=cache.locks, removal=removal).remove_each([(files[0], "a test")])

    assert result.obstacle is Obstacle.USED_MEANWHILE
