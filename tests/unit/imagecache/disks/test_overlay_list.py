"""The list of disks on an entry: complete for those that are there, and no longer than that."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import CacheUnusable, DiskRefused
from precache.imagecache.disks.directory_mark import MARK_NAME, mark_directory, mark_of
from precache.imagecache.disks.overlay_list import Presence, add_overlay, listed_overlays, remove_overlays
from tests.unit.imagecache.conftest import ENTRY

OTHER = "0d5e6b61602d758984b3bf038267614d6016eb2a"


def test_disks_of_all_entries_are_listed(tmp_path: Path, clock: MemoryClock) -> None:
    disks = [tmp_path / "vm1.qcow2", tmp_path / "vm 2\n.qcow2", tmp_path / "vm3.qcow2"]
    for disk, entry in zip(disks, [ENTRY, ENTRY, OTHER], strict=True):
        add_overlay(tmp_path, entry, disk, clock.now())
        disk.touch()

    assert {overlay.path for _, overlay in listed_overlays(tmp_path)} == set(disks)


def test_a_missing_disk_is_removed_from_the_list_when_the_next_is_added(tmp_path: Path, clock: MemoryClock) -> None:
    add_overlay(tmp_path, ENTRY, tmp_path / "gone.qcow2", clock.now())
    add_overlay(tmp_path, ENTRY, tmp_path / "new.qcow2", clock.now())

    assert [overlay.path for _, overlay in listed_overlays(tmp_path)] == [tmp_path / "new.qcow2"]


def test_a_list_is_removed_as_a_whole(tmp_path: Path, clock: MemoryClock) -> None:
    add_overlay(tmp_path, ENTRY, tmp_path / "vm.qcow2", clock.now())

    remove_overlays(tmp_path, ENTRY)

    assert [path.name for path in tmp_path.iterdir()] == [".precache-directory"]


def test_a_list_that_cannot_be_written_is_an_error_of_the_cache(tmp_path: Path, clock: MemoryClock) -> None:
    with pytest.raises(CacheUnusable, match="does not exist"):
        add_overlay(tmp_path / "nowhere", ENTRY, tmp_path / "vm.qcow2", clock.now())


def presence(directory: Path) -> Presence:
    ((_, overlay),) = listed_overlays(directory)
    return overlay.presence()


def test_a_disk_is_gone_only_from_the_very_directory_that_it_was_made_in(tmp_path: Path, clock: MemoryClock) -> None:
    guests, cache = tmp_path / "guests", tmp_path / "_base"
    guests.mkdir()
    cache.mkdir()
    add_overlay(cache, ENTRY, guests / "vm.qcow2", clock.now())

    found = [presence(cache)]  # never made, or deleted
    guests.rename(tmp_path / "unmounted")
    found.append(presence(cache))
    guests.mkdir()  # as an empty mount point
    found.append(presence(cache))
    mark_directory(guests)  # another file system that has disks of ours, too
    found.append(presence(cache))

    assert found == [Presence.GONE, Presence.UNKNOWN, Presence.UNKNOWN, Presence.UNKNOWN]


def test_a_disk_on_a_file_system_that_is_not_mounted_stays_listed(tmp_path: Path, clock: MemoryClock) -> None:
    guests = tmp_path / "guests"
    guests.mkdir()
    add_overlay(tmp_path, ENTRY, guests / "vm.qcow2", clock.now())
    guests.rename(tmp_path / "unmounted")

    add_overlay(tmp_path, ENTRY, tmp_path / "new.qcow2", clock.now())

    assert [overlay.path.name for _, overlay in listed_overlays(tmp_path)] == ["vm.qcow2", "new.qcow2"]


def test_a_list_of_an_older_release_is_read_and_its_disks_are_in_doubt_when_missing(
    tmp_path: Path, clock: MemoryClock
) -> None:
    (tmp_path / f"{ENTRY}.overlays").write_text(json.dumps(str(tmp_path / "vm.qcow2")) + "\n")

    while_missing = presence(tmp_path)
    (tmp_path / "vm.qcow2").touch()
    while_there = presence(tmp_path)

    assert (while_missing, while_there) == (Presence.UNKNOWN, Presence.THERE)


def test_the_next_note_adds_the_mark_to_an_older_line(tmp_path: Path, clock: MemoryClock) -> None:
    (tmp_path / f"{ENTRY}.overlays").write_text(json.dumps(str(tmp_path / "vm.qcow2")) + "\n")
    (tmp_path / "vm.qcow2").touch()

    add_overlay(tmp_path, ENTRY, tmp_path / "new.qcow2", clock.now())

    assert {overlay.directory for _, overlay in listed_overlays(tmp_path)} == {mark_of(tmp_path)}


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/hostname"), os.mkfifo, Path.mkdir])
def test_an_unknown_file_as_mark_refuses_the_disk(
    tmp_path: Path, clock: MemoryClock, make: Callable[[Path], None]
) -> None:
    make(tmp_path / MARK_NAME)

    with pytest.raises(DiskRefused, match="cannot be marked"):
        add_overlay(tmp_path, ENTRY, tmp_path / "vm.qcow2", clock.now())
