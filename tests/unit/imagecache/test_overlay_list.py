"""The list of disks on an entry: complete for those that are there, and no longer than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import CacheUnusable
from precache.imagecache.overlay_list import forget_overlays, listed_overlays, note_overlay
from tests.unit.imagecache.conftest import ENTRY

OTHER = "0d5e6b61602d758984b3bf038267614d6016eb2a"


def test_disks_of_all_entries_are_listed(tmp_path: Path, clock: MemoryClock) -> None:
    disks = [tmp_path / "vm1.qcow2", tmp_path / "vm 2\n.qcow2", tmp_path / "vm3.qcow2"]
    for disk, entry in zip(disks, [ENTRY, ENTRY, OTHER], strict=True):
        note_overlay(tmp_path, entry, disk, clock.now())
        disk.touch()

    assert set(listed_overlays(tmp_path)) == set(disks)


def test_a_disk_that_is_gone_is_forgotten_when_the_next_is_noted(tmp_path: Path, clock: MemoryClock) -> None:
    note_overlay(tmp_path, ENTRY, tmp_path / "gone.qcow2", clock.now())
    note_overlay(tmp_path, ENTRY, tmp_path / "new.qcow2", clock.now())

    assert list(listed_overlays(tmp_path)) == [tmp_path / "new.qcow2"]


def test_a_list_goes_away_as_a_whole(tmp_path: Path, clock: MemoryClock) -> None:
    note_overlay(tmp_path, ENTRY, tmp_path / "vm.qcow2", clock.now())

    forget_overlays(tmp_path, ENTRY)

    assert list(tmp_path.iterdir()) == []


def test_a_list_that_cannot_be_written_is_an_error_of_the_cache(tmp_path: Path, clock: MemoryClock) -> None:
    with pytest.raises(CacheUnusable, match="does not exist"):
        note_overlay(tmp_path / "nowhere", ENTRY, tmp_path / "vm.qcow2", clock.now())
