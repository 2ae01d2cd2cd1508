"""One entry is removed with all that is beside it, or stays with the reason in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import DomainsUnknown
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.entry_removal import EntryRemoval, Obstacle, users_text
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.disks.overlay_list import add_overlay
from precache.imagecache.records.entry_record import EntryRecord
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.cleaning.test_cleaner import HOLDER, Domains, disks_of, names, put, put_overlay
from tests.unit.imagecache.conftest import ENTRY, IMAGE

Arrangement = Callable[[ImageCache, MemoryClock, Domains], None]


def removal_of(cache: ImageCache, clock: MemoryClock, domains: Domains | None = None) -> EntryRemoval:
    return EntryRemoval(cache=cache, disks=disks_of(cache, domains), clock=clock)


def keep(cache: ImageCache, clock: MemoryClock) -> None:
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("", clock.now() + timedelta(days=1)),)))


def test_an_entry_goes_with_its_record_its_list_of_disks_and_its_lock_file(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = put(cache, ENTRY, clock)
    cache.records.write(EntryRecord(image=IMAGE))
    add_overlay(cache.directory, ENTRY, tmp_path_factory.mktemp("guests") / "gone.qcow2", clock.now())
    allocated = path.stat().st_blocks * 512

    result = removal_of(cache, clock).remove(ENTRY, "unused for 26 h")

    assert result.is_removed
    assert result.bytes_freed == allocated
    assert names(cache) == set()
    assert list(cache.locks.directory.iterdir()) == []
    assert f"Removed {ENTRY} from {cache.directory}: unused for 26 h" in caplog.text


def _nothing(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    """Leave the cache empty."""


def _pinned(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    put(cache, ENTRY, clock)
    keep(cache, clock)


def _served(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    put(cache, ENTRY, clock)
    cache.served.begin(ENTRY, clock.now() + timedelta(minutes=5))


def _used(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    put_overlay(cache.directory.parent / "instance-1" / "disk", put(cache, ENTRY, clock))


def _unknown(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    put(cache, ENTRY, clock)
    domains.found = DomainsUnknown("libvirt does not answer", "start libvirtd")


def _directory(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    (cache.directory / ENTRY).mkdir()


def _link(cache: ImageCache, clock: MemoryClock, domains: Domains) -> None:
    (cache.directory / ENTRY).symlink_to("/etc/hostname")


@pytest.mark.parametrize(
    ("arrange", "obstacle", "detail"),
    [
        (_nothing, Obstacle.ABSENT, "it is not in"),
        (_pinned, Obstacle.PINNED, "pinned by a job of an earlier release until"),
        (_served, Obstacle.SERVED, "served to other hosts of the site until "),
        (_used, Obstacle.IN_USE, "in use by 1 disk: /"),
        (_unknown, Obstacle.USE_UNKNOWN, "start libvirtd"),
        (_directory, Obstacle.FAILED, "is not a file; move it elsewhere"),
        (_link, Obstacle.FAILED, "is not a file; move it elsewhere"),
    ],
)
def test_what_stands_against_a_removal_is_returned_and_nothing_is_removed(
    cache: ImageCache, clock: MemoryClock, arrange: Arrangement, obstacle: Obstacle, detail: str
) -> None:
    domains = Domains()
    arrange(cache, clock, domains)
    before = names(cache)

    result = removal_of(cache, clock, domains).remove(ENTRY, "a test")

    assert result.obstacle is obstacle
    assert detail in result.detail
    assert names(cache) == before


def test_an_entry_whose_lock_is_taken_stays(cache: ImageCache, clock: MemoryClock, tmp_path: Path) -> None:
    put(cache, ENTRY, clock)

    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"

        assert removal_of(cache, clock).remove(ENTRY, "a test").obstacle is Obstacle.LOCKED


class BootDuringLook(InstanceDisks):
    """A boot finds the entry while the disks are looked at, and makes its disk later. It waits for the entry's lock."""

    def __init__(self, cache: ImageCache, clock: MemoryClock, domains: Domains | None = None) -> None:
        super().__init__(
            instances_path=cache.directory.parent, cache_directory=cache.directory, domains=domains or Domains()
        )
        self._boots = [lambda: put(cache, ENTRY, clock)]

    def disks_by_file(self) -> dict[str, tuple[Path, ...]]:
        found = super().disks_by_file()
        while self._boots:
            self._boots.pop()()
        return found


def test_an_entry_that_a_boot_finds_while_the_disks_are_looked_at_stays(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock, age=timedelta(days=9))
    removal = EntryRemoval(cache=cache, disks=BootDuringLook(cache, clock), clock=clock)
    file = removal.look(ENTRY)
    assert file is not None

    by_name = removal.remove(ENTRY, "a test")
    put(cache, ENTRY, clock, age=timedelta(days=9))
    obstacle = removal.obstacle(file, removal.usage())
    put(cache, ENTRY, clock)
    in_batch = removal.remove_free(file, "a test")

    assert (by_name.obstacle, obstacle, in_batch.obstacle) == (Obstacle.USED_MEANWHILE, None, Obstacle.USED_MEANWHILE)
    assert names(cache) == {ENTRY}


@pytest.mark.parametrize("is_used", [True, False])
def test_a_pin_can_be_overruled_and_use_cannot(cache: ImageCache, clock: MemoryClock, is_used: bool) -> None:
    base = put(cache, ENTRY, clock)
    keep(cache, clock)
    if is_used:
        put_overlay(cache.directory.parent / "instance-1" / "disk", base)

    result = removal_of(cache, clock).remove(ENTRY, "a test", even_pinned=True)

    assert result.is_removed is not is_used


def test_the_holder_of_the_lock_learns_whether_the_entry_may_be_moved(cache: ImageCache, clock: MemoryClock) -> None:
    base = put(cache, ENTRY, clock)
    removal = removal_of(cache, clock)
    with cache.locks.hold_if_free(ENTRY):
        free = removal.use_of(ENTRY)
        put_overlay(cache.directory.parent / "instance-1" / "disk", base)
        used = removal.use_of(ENTRY)

    assert free is None
    assert used is not None
    assert used.obstacle is Obstacle.IN_USE


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "in use by 1 disk: /i/0/disk"),
        (3, "in use by 3 disks: /i/0/disk, /i/1/disk, /i/2/disk"),
        (5, "in use by 5 disks: /i/0/disk, /i/1/disk, /i/2/disk and 2 more"),
    ],
)
def test_the_disks_that_stand_on_an_entry_are_named_up_to_three(count: int, text: str) -> None:
    assert users_text([Path(f"/i/{number}/disk") for number in range(count)]) == text
