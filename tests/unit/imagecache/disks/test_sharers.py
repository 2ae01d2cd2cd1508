"""Hosts that share a cache directory: each knows what the others use, and one of them cleans."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_entries import AlarmKind
from precache.core.errors import DomainsUnknown, SharersUnknown
from precache.core.images import ImageId
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.entry_removal import EntryRemoval, Obstacle
from precache.imagecache.disks.sharer_files import read_sharers, remove_sharer
from precache.imagecache.disks.sharers import CacheSharers
from precache.imagecache.names import SHARERS, entry_name

IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")
ENTRY = entry_name(IMAGE)
HOUR = timedelta(hours=1)


class Disks:
    """The disks of one host. unknown: whether its hypervisor does not answer."""

    def __init__(self, **used: Path) -> None:
        self.used = {name: (path,) for name, path in used.items()}
        self.is_unknown = False

    def disks_by_file(self) -> Mapping[str, tuple[Path, ...]]:
        if self.is_unknown:
            raise DomainsUnknown("libvirtd does not answer", "start it")
        return self.used


class SharingHost:
    """A host with its own view of the cache in `instances`, as if that were mounted there."""

    def __init__(self, name: str, instances: Path, *, locks: Path | None = None) -> None:
        self.name, self.clock, self.disks = name, MemoryClock(), Disks()
        self.cache = ImageCache(
            directory=instances / "_base", locks_directory=locks or instances / "locks", clock=self.clock
        )
        self.cache.start()
        self.sharers = CacheSharers(cache=self.cache, host=name, own=self.disks, clock=self.clock)
        self.removal = EntryRemoval(cache=self.cache, disks=self.sharers, clock=self.clock)

    def was_there(self, ago: timedelta) -> None:
        """Set the time of its last announcement."""
        path = self.cache.directory / SHARERS / self.name
        os.utime(path, times=(path.stat().st_mtime - ago.total_seconds(),) * 2)

    def alarms(self) -> list[tuple[AlarmKind, str]]:
        return [(alarm.kind, alarm.entry) for alarm in self.cache.alarms.current()]

    def advice(self) -> str:
        return "".join(alarm.text for alarm in self.cache.alarms.current())


@pytest.fixture
def first(tmp_path: Path) -> SharingHost:
    return SharingHost("cmp-1", tmp_path)


@pytest.fixture
def second(tmp_path: Path) -> SharingHost:
    return SharingHost("cmp-2", tmp_path)


def test_hosts_that_share_a_cache_find_the_same_identity(first, second, tmp_path):
    other = SharingHost("cmp-3", tmp_path / "other")

    assert first.cache.cache_id == second.cache.cache_id != other.cache.cache_id


def test_what_another_host_uses_is_not_removed(first, second):
    (first.cache.directory / ENTRY).write_bytes(b"1")
    second.disks.used = {ENTRY: (Path("/srv/disk"),)}
    for host in (first, second):
        host.sharers.announce()

    kept = first.removal.remove(ENTRY, "test")
    second.disks.used = {}
    second.sharers.announce()
    removed = first.removal.remove(ENTRY, "test")

    assert (kept.obstacle, "cmp-2:/srv/disk" in kept.detail) == (Obstacle.IN_USE, True)
    assert removed.is_removed


@pytest.mark.parametrize(("age", "goes"), [(timedelta(minutes=19), False), (timedelta(minutes=20), True)])
def test_what_was_used_lately_stays_until_the_other_hosts_have_named_their_new_disks(first, second, age, goes):
    for host in (first, second):
        host.sharers.announce()
    path = first.cache.directory / ENTRY
    path.write_bytes(b"disk")
    used = (first.clock.now() - age).timestamp()
    os.utime(path, (used, used))

    result = first.removal.remove(ENTRY, "a test")

    assert result.is_removed is goes
    assert result.obstacle is (None if goes else Obstacle.USE_UNKNOWN)


def test_while_another_host_does_not_know_what_it_uses_nothing_is_removed(first, second):
    (first.cache.directory / ENTRY).write_bytes(b"1")
    second.disks.is_unknown = True
    second.sharers.announce()

    result = first.removal.remove(ENTRY, "test")

    assert result.obstacle is Obstacle.USE_UNKNOWN
    assert "on host cmp-2" in result.detail
    assert "libvirtd does not answer" in result.detail


def test_the_first_host_by_name_that_is_there_is_elected(first, second):
    second.sharers.announce()
    alone = second.sharers.why_not_elected()
    was_alone = not second.sharers.has_others()
    first.sharers.announce()
    both = (first.sharers.why_not_elected(), second.sharers.why_not_elected())
    first.was_there(HOUR)

    assert (alone, was_alone, second.sharers.has_others()) == ("", True, True)
    assert both == ("", "host cmp-1, which shares this cache, cleans it for all")
    assert second.sharers.why_not_elected() == ""


def test_a_host_that_has_not_announced_itself_is_not_elected(first, second):
    before = first.sharers.why_not_elected()
    second.sharers.announce()

    assert "has not announced itself" in before
    assert "has not announced itself" in first.sharers.why_not_elected()


def test_a_host_that_is_silent_for_days_still_counts_until_an_operator_removes_it(first, second):
    (first.cache.directory / ENTRY).write_bytes(b"1")
    second.disks.used = {ENTRY: (Path("/srv/disk"),)}
    second.sharers.announce()
    second.was_there(timedelta(days=9))

    first.sharers.announce()
    kept, alarms, advice = first.removal.remove(ENTRY, "test"), first.alarms(), first.advice()
    is_removed = remove_sharer(first.cache.directory, "cmp-2")
    first.sharers.announce()

    assert kept.obstacle is Obstacle.IN_USE
    assert alarms == [(AlarmKind.SILENT_SHARER, "cmp-2")]
    assert "precache cache sharer remove cmp-2" in advice
    assert (is_removed, remove_sharer(first.cache.directory, "cmp-2")) == (True, False)
    assert first.alarms() == []
    assert first.removal.remove(ENTRY, "test").is_removed


def test_hosts_that_share_the_cache_but_not_its_locks_remove_nothing(first, tmp_path):
    apart = SharingHost("cmp-2", tmp_path, locks=tmp_path / "locks-of-cmp-2")
    (first.cache.directory / ENTRY).write_bytes(b"1")
    for host in (first, apart, first):
        host.sharers.announce()

    results = [host.removal.remove(ENTRY, "test") for host in (first, apart)]

    assert [result.obstacle for result in results] == [Obstacle.USE_UNKNOWN] * 2
    assert "mount the whole instances directory on all of them" in results[0].detail
    assert first.alarms() == apart.alarms() == [(AlarmKind.UNSAFE_SHARING, "")]


def test_the_alarm_ends_when_the_locks_are_shared(first, tmp_path):
    apart = SharingHost("cmp-2", tmp_path, locks=tmp_path / "locks-of-cmp-2")
    for host in (apart, first):
        host.sharers.announce()
    assert first.alarms()

    for host in (SharingHost("cmp-2", tmp_path), first):
        host.sharers.announce()

    assert first.alarms() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"version": 2}', b'{"version": 1, "locks": "0", "used": [1]}', b"[" * 100_000],
    ids=["empty", "a list", "cut", "newer", "no map", "deep"],
)
def test_while_the_file_of_another_host_says_nothing_nothing_is_removed(first, second, content):
    (first.cache.directory / ENTRY).write_bytes(b"1")
    for host in (first, second):
        host.sharers.announce()
    (first.cache.directory / SHARERS / "cmp-2").write_bytes(content)

    result = first.removal.remove(ENTRY, "test")
    second.sharers.announce()

    assert result.obstacle is Obstacle.USE_UNKNOWN
    assert "rewritten by the compute on host cmp-2" in result.detail
    assert first.removal.remove(ENTRY, "test").is_removed


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
def test_what_is_not_a_file_keeps_the_cache_as_it_is_with_an_alarm_until_it_is_removed(first, kind):
    (first.cache.directory / ENTRY).write_bytes(b"1")
    first.sharers.announce()
    odd = first.cache.directory / SHARERS / "dd"
    {"directory": odd.mkdir, "pipe": lambda: os.mkfifo(odd), "link": lambda: odd.symlink_to("/etc/hosts")}[kind]()

    result = first.removal.remove(ENTRY, "test")

    assert result.obstacle is Obstacle.USE_UNKNOWN
    assert first.alarms() == [(AlarmKind.UNSAFE_SHARING, "")]
    for text in (result.detail, first.advice()):
        assert f"{odd} is not known: it is not a file, so no compute made it" in text
        assert "`precache cache sharer remove dd`" in text
    assert remove_sharer(first.cache.directory, "dd")
    assert first.removal.remove(ENTRY, "test").is_removed
    assert first.alarms() == []


def test_only_files_of_the_cache_are_announced(first, second):
    second.disks.used = dict.fromkeys(
        (ENTRY, f"{ENTRY}_20", "swap_1024", f"nova-{ENTRY}", f"{ENTRY}.precache", ".precache-cleaner.lock", "disk"),
        (Path("/srv/disk"),),
    )
    second.sharers.announce()

    [other] = first.sharers.others()

    assert set(other.used) == {ENTRY, f"{ENTRY}_20", "swap_1024"}


def test_a_link_in_the_place_of_a_file_is_not_followed(first, second, tmp_path):
    (tmp_path / "elsewhere").write_text(json.dumps({"version": 1, "locks": "0", "used": {}}))
    first.sharers.announce()
    (first.cache.directory / SHARERS / "cmp-2").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SharersUnknown):
        first.sharers.others()


def test_a_disk_whose_name_is_no_text_is_announced(first, second):
    second.disks.used = {ENTRY: (Path(os.fsdecode(b"/srv/\xff")),)}
    second.sharers.announce()

    [other] = first.sharers.others()

    assert other.used == {ENTRY: ("/srv/\\xff",)}


def test_what_a_killed_announcement_has_left_is_no_host(first):
    first.sharers.announce()
    (first.cache.directory / SHARERS / "cmp-2~0a1b2c3d").write_bytes(b"{")

    assert [sharer.host for sharer in read_sharers(first.cache.directory)] == ["cmp-1"]
