"""A cache of another user: what cannot work is refused at the start."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import CacheUnusable
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.cleaner import Cleaner
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.staging import Fetched, Staging
from precache.rules.eviction import Cleaning
from precache.rules.expiry import ExpiryLimits
from tests.unit.imagecache.conftest import ENTRY, IMAGE
from tests.unit.imagecache.verification.test_entry_verification import corrupt_of


@pytest.fixture
def foreign(open_path: Path, clock: MemoryClock) -> ImageCache:
    """A cache made by root, with one entry."""
    cache = ImageCache(directory=open_path / "_base", locks_directory=open_path / "locks", clock=clock)
    cache.start()
    cache.path_of(IMAGE).write_bytes(b"content")
    return cache


def never(staging: Staging) -> Fetched:
    raise AssertionError("nothing can be written here, yet somebody tried")


def test_a_read_only_cache_stops_the_start(foreign: ImageCache, as_nobody: None) -> None:
    with pytest.raises(CacheUnusable, match=r"_base cannot be used: this user cannot write there; run the compute as"):
        foreign.start()


def test_a_lock_file_without_permission_is_named(foreign: ImageCache, as_nobody: None) -> None:
    with pytest.raises(CacheUnusable, match=f"permission denied.*nova-{ENTRY}"):
        foreign.ensure(IMAGE, never)


def test_an_entry_of_another_user_is_found_though_it_cannot_be_touched(
    foreign: ImageCache, as_nobody: None, caplog: pytest.LogCaptureFixture
) -> None:
    os.seteuid(0)
    foreign.locks.directory.chmod(0o777)
    os.seteuid(65534)

    assert not foreign.ensure(IMAGE, never)
    assert f"expiry of {foreign.path_of(IMAGE)} could not be restarted" in caplog.text


def test_an_entry_that_cannot_be_read_is_not_taken_for_a_corrupt_one(
    foreign: ImageCache, clock: MemoryClock, as_nobody: None
) -> None:
    os.seteuid(0)
    foreign.locks.directory.chmod(0o777)
    foreign.records.write(EntryRecord(image=IMAGE, digest="sha256:" + 64 * "0", size_bytes=8))
    foreign.path_of(IMAGE).chmod(0o600)
    os.seteuid(65534)

    corrupt_of(foreign, clock).move_known(IMAGE, lambda: None)

    assert not foreign.ensure(IMAGE, never)


def test_a_writable_cache_of_another_user_is_used_with_a_warning(
    foreign: ImageCache, as_nobody: None, caplog: pytest.LogCaptureFixture
) -> None:
    os.seteuid(0)
    for directory in (foreign.directory, foreign.locks.directory):
        directory.chmod(0o777)
    os.seteuid(65534)

    foreign.start()

    assert "nova-compute could not open files that are made here" in caplog.text


def test_a_cleaner_that_may_not_read_a_disk_removes_nothing(
    foreign: ImageCache, clock: MemoryClock, as_nobody: None, caplog: pytest.LogCaptureFixture
) -> None:
    os.seteuid(0)
    disk = foreign.directory.parent / "instance-1" / "disk"
    disk.parent.mkdir()
    disk.touch(mode=0o600)
    foreign.directory.chmod(0o777)
    os.seteuid(65534)
    now = timedelta()
    disks = InstanceDisks(instances_path=foreign.directory.parent, cache_directory=foreign.directory)
    limits = ExpiryLimits(original=now, resized=now)

    removal = EntryRemoval(cache=foreign, disks=disks, clock=clock)
    cleaner = Cleaner(cache=foreign, removal=removal, clock=clock, cleaning=Cleaning(limits))

    assert cleaner.clean() == []
    assert f"The disk {disk} cannot be read: Permission denied" in caplog.text
