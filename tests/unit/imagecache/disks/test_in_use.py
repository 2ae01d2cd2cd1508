"""Which disks stand on a file of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import DiskUnreadable
from precache.imagecache.cache import ImageCache
from precache.imagecache.disks.overlay_list import add_overlay
from precache.ports.domain_disks import DiskFile
from tests.unit.imagecache.cleaning.test_cleaner import Domains, disks_of, put, put_overlay
from tests.unit.imagecache.conftest import ENTRY, RECORD


def test_every_disk_of_an_entry_is_named_once_by_its_path(cache: ImageCache, clock: MemoryClock) -> None:
    entry = put(cache, ENTRY, clock)
    instances = cache.directory.parent
    found, defined, both = (instances / name / "disk" for name in ("found", "defined", "both"))
    for disk in (found, both):
        put_overlay(disk, entry)
    put_overlay(defined, both)
    domains = Domains(
        DiskFile(defined, "qcow2"), DiskFile(both, "qcow2"), DiskFile(entry, "raw")
    )  # libvirt lists the backing files of running guests, too

    disks = disks_of(cache, domains).disks_by_file()

    assert disks[ENTRY] == (both, defined, found)


def test_a_guest_that_uses_the_entry_itself_is_shown_by_its_path(cache: ImageCache, clock: MemoryClock) -> None:
    entry = put(cache, ENTRY, clock)

    assert disks_of(cache, Domains(DiskFile(entry, "raw"))).disks_by_file()[ENTRY] == (entry,)


def test_without_a_hypervisor_a_listed_disk_is_named_although_it_is_gone(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk: Path = tmp_path_factory.mktemp("guests") / "vm.qcow2"
    put(cache, ENTRY, clock)
    add_overlay(cache.directory, ENTRY, disk, clock.now())
    domains = Domains()
    domains.found = None

    assert disks_of(cache, domains).disks_by_file()[ENTRY] == (disk,)


def test_the_last_result_is_remembered_until_it_is_not_known_any_more(cache: ImageCache, clock: MemoryClock) -> None:
    entry = put(cache, ENTRY, clock)
    disk = cache.directory.parent / "found" / "disk"
    put_overlay(disk, entry)
    disks = disks_of(cache, Domains(DiskFile(disk, "qcow2")))
    before = disks.last_found
    found = disks.disks_by_file()
    after = disks.last_found
    disk.unlink()

    with pytest.raises(DiskUnreadable):
        disks.disks_by_file()

    assert (before, after, disks.last_found) == (None, found, None)


def test_a_record_of_an_entry_is_no_disk_whatever_is_in_it(cache: ImageCache, clock: MemoryClock) -> None:
    put_overlay(cache.directory / RECORD, put(cache, ENTRY, clock))

    assert disks_of(cache, Domains()).disks_by_file() == {}
