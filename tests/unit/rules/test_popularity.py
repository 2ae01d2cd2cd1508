"""How often an entry was used is counted by disks, each once."""

from __future__ import annotations

from precache.rules.popularity import DisksSeen, count_disks


def test_a_disk_counts_once_and_still_after_it_is_gone() -> None:
    first = count_disks({}, {"a", "b"}, {"a": {"1", "2"}})
    second = count_disks(first, {"a", "b"}, {"a": {"2", "3"}})
    third = count_disks(second, {"a", "b"}, {})

    assert first == {"a": DisksSeen(2, frozenset({"1", "2"}))}
    assert second["a"].count == 3
    assert third == {"a": DisksSeen(3)}


def test_an_entry_that_has_left_the_cache_is_forgotten() -> None:
    assert count_disks({"a": DisksSeen(7)}, {"b"}, {"a": {"1"}}) == {}
