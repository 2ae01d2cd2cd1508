"""An image is purged with all that is kept of it, or stays with the reason in words."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable, DomainsUnknown, Stopped
from precache.core.images import Digest, Image
from precache.core.jobs import Outcome
from precache.core.operation_result import OperationResult
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.cleaning.purge import Purge
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.disks.overlay_list import add_overlay
from precache.imagecache.names import record_name
from precache.imagecache.records.entry_record import EntryRecord
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.cleaning.test_cleaner import HOLDER, OTHER, Domains, disks_of, names, put, put_overlay
from tests.unit.imagecache.cleaning.test_entry_removal import BootDuringLook
from tests.unit.imagecache.conftest import ENTRY, IMAGE


def never() -> None:
    raise AssertionError("nothing uses the image")


def purge_of(
    cache: ImageCache, clock: MemoryClock, domains: Domains | None = None, disks: InstanceDisks | None = None
) -> Purge:
    return Purge(
        cache=cache,
        removal=EntryRemoval(cache=cache, disks=disks or disks_of(cache, domains), clock=clock),
        quarantine=Quarantine(directory=cache.directory, clock=clock),
        clock=clock,
    )


def put_old(cache: ImageCache, clock: MemoryClock) -> Path:
    return put(cache, ENTRY, clock, age=timedelta(hours=1))


def keep_download(cache: ImageCache) -> None:
    part = cache.directory / "part"
    part.write_bytes(b"half")
    image = Image(
        id=IMAGE, name="", status="active", disk_format="raw", size_bytes=8, digest=Digest.parse("sha256", 64 * "0")
    )
    assert cache.kept.keep(image, part, 4, "job-1") == 4


def test_an_image_goes_with_all_that_is_kept_of_it_and_others_stay(
    cache: ImageCache, clock: MemoryClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    put_old(cache, clock)
    Quarantine(directory=cache.directory, clock=clock).move(ENTRY)
    put_old(cache, clock)
    keep_download(cache)
    cache.records.write(EntryRecord(image=IMAGE))
    add_overlay(cache.directory, ENTRY, tmp_path_factory.mktemp("guests") / "gone.qcow2", clock.now())
    put(cache, OTHER, clock)
    cache.alarms.set(AlarmKind.CORRUPT, ENTRY, IMAGE, "it is corrupt")

    result = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never)

    assert result == OperationResult(Outcome.PURGED)
    assert names(cache) == {OTHER}
    assert cache.alarms.current() == ()


def test_an_image_that_is_not_cached_is_absent_and_its_leftovers_go(cache: ImageCache, clock: MemoryClock) -> None:
    keep_download(cache)
    cache.records.write(EntryRecord(image=IMAGE))

    result = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never)

    assert result == OperationResult(Outcome.ABSENT)
    assert names(cache) == set()


def test_without_the_cache_no_image_is_absent(cache: ImageCache, clock: MemoryClock) -> None:
    shutil.rmtree(cache.directory)

    with pytest.raises(CacheUnusable, match="it does not exist"):
        purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never)


def test_an_image_in_use_stays_and_its_disks_are_named(cache: ImageCache, clock: MemoryClock) -> None:
    base = put_old(cache, clock)
    disks = [cache.directory.parent / f"instance-{number}" / "disk" for number in range(4)]
    for disk in disks:
        put_overlay(disk, base)

    result = purge_of(cache, clock).purge(IMAGE, even_pinned=True, wait=never)

    assert result == OperationResult(
        Outcome.IN_USE, f"in use by 4 disks: {disks[0]}, {disks[1]}, {disks[2]} and 1 more"
    )
    assert base.exists()


def test_an_image_that_other_hosts_receive_from_this_one_stays_until_that_ends(
    cache: ImageCache, clock: MemoryClock
) -> None:
    put_old(cache, clock)
    cache.served.begin(ENTRY, clock.now() + timedelta(minutes=5))

    served = purge_of(cache, clock).purge(IMAGE, even_pinned=True, wait=never)
    cache.served.end(ENTRY)
    later = purge_of(cache, clock).purge(IMAGE, even_pinned=True, wait=never)

    assert served.outcome is Outcome.IN_USE
    assert served.reason.startswith("served to other hosts of the site until ")
    assert later.outcome is Outcome.PURGED


def test_nothing_is_removed_while_it_is_not_known_what_is_in_use(cache: ImageCache, clock: MemoryClock) -> None:
    base, domains = put_old(cache, clock), Domains()
    domains.found = DomainsUnknown("libvirt does not answer", "start libvirtd")

    result = purge_of(cache, clock, domains).purge(IMAGE, even_pinned=True, wait=never)

    assert result.outcome is Outcome.ERROR
    assert "it was not removed: it is not known what is in use" in result.reason
    assert base.exists()


def test_an_image_that_a_qemu_has_open_which_no_list_knows_stays(cache: ImageCache, clock: MemoryClock) -> None:
    base = put_old(cache, clock)
    command = ["qemu-io", "-r", "-f", "raw", str(base)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        qemu.stdin.write("length\n")
        qemu.stdin.flush()
        while "512" not in qemu.stdout.readline():
            assert qemu.poll() is None

        result = purge_of(cache, clock).purge(IMAGE, even_pinned=True, wait=never)
        qemu.stdin.write("quit\n")
        qemu.stdin.flush()

    assert result.outcome is Outcome.ERROR
    assert f"a running qemu has {base} open" in result.reason
    assert base.exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_pinned_image_stays_and_the_pin_is_named(cache: ImageCache, clock: MemoryClock, is_there: bool) -> None:
    if is_there:
        put_old(cache, clock)
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("job:1", clock.now() + timedelta(days=1)), Pin("job:2"))))
    before = names(cache)

    result = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never)

    assert result == OperationResult(
        Outcome.ERROR,
        "it is pinned by job:2 until it is unpinned and 1 other; unpin it, or purge it with even_pinned",
    )
    assert names(cache) == before


def test_a_pin_that_is_just_over_keeps_the_image_and_the_reason_says_why(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("job:1", clock.now()),)))

    result = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never)

    assert result.reason == (
        "it is pinned by job:1 until 2026-01-01 00:00:00+00:00; that is over, but counts for up to an hour longer, "
        "in case the clock is wrong; unpin it, or purge it with even_pinned"
    )


@pytest.mark.parametrize("text", [b"", b"no json", b'{"version": 99}'])
def test_an_image_whose_record_cannot_be_used_may_be_pinned_and_stays(
    cache: ImageCache, clock: MemoryClock, text: bytes
) -> None:
    put_old(cache, clock)
    (cache.directory / record_name(ENTRY)).write_bytes(text)

    refused = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never)
    before = names(cache)
    purged = purge_of(cache, clock).purge(IMAGE, even_pinned=True, wait=never)

    assert refused.outcome is Outcome.ERROR
    assert "not known whether it is pinned" in refused.reason
    assert before == {ENTRY, record_name(ENTRY)}
    assert purged.outcome is Outcome.PURGED
    assert names(cache) == set()


@pytest.mark.parametrize(("is_there", "outcome"), [(True, Outcome.PURGED), (False, Outcome.ABSENT)])
def test_a_pinned_image_goes_with_its_pins_if_the_request_says_so(
    cache: ImageCache, clock: MemoryClock, is_there: bool, outcome: Outcome
) -> None:
    if is_there:
        put_old(cache, clock)
    cache.records.write(EntryRecord(image=IMAGE, pins=(Pin("job:1"),)))

    assert purge_of(cache, clock).purge(IMAGE, even_pinned=True, wait=never).outcome is outcome
    assert names(cache) == set()


def test_a_purge_waits_for_who_has_the_lock_and_can_be_stopped(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    base = put_old(cache, clock)
    waits: list[int] = []

    def stop_soon() -> None:
        waits.append(1)
        if len(waits) == 3:
            raise Stopped("The purge")

    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"

        with pytest.raises(Stopped):
            purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=stop_soon)
        assert base.exists()
        result = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=lambda: holder.say("go"))

    assert result.outcome is Outcome.PURGED


@pytest.mark.parametrize("found_at", ["before", "as soon as it was published", "while the disks are looked at"])
def test_a_boot_that_has_just_found_the_image_makes_its_disk_first(
    cache: ImageCache, clock: MemoryClock, found_at: str
) -> None:
    base = put_old(cache, clock)
    is_published_now = found_at == "as soon as it was published"
    before = timedelta(milliseconds=100) if is_published_now else timedelta(hours=1)
    cache.records.write(EntryRecord(image=IMAGE, cached_at=clock.now() - before))
    disks = disks_of(cache, None)
    if found_at == "while the disks are looked at":
        disks = BootDuringLook(cache, clock)
    else:
        os.utime(base, (clock.now().timestamp(), clock.now().timestamp()))  # as nova-compute does
    disk = cache.directory.parent / "instance-1" / "disk"

    result = purge_of(cache, clock, disks=disks).purge(IMAGE, even_pinned=False, wait=lambda: put_overlay(disk, base))

    assert result.outcome is Outcome.IN_USE


def test_an_image_that_was_just_published_is_purged_at_once(cache: ImageCache, clock: MemoryClock) -> None:
    put(cache, ENTRY, clock)
    cache.records.write(EntryRecord(image=IMAGE, cached_at=clock.now()))

    assert purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=never).outcome is Outcome.PURGED


def test_an_image_that_is_touched_all_the_time_does_not_delay_a_purge_for_ever(
    cache: ImageCache, clock: MemoryClock
) -> None:
    base = put(cache, ENTRY, clock)

    def touch() -> None:
        os.utime(base, (clock.now().timestamp(), clock.now().timestamp()))

    began = clock.now()
    assert purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=touch).outcome is Outcome.PURGED
    assert clock.now() - began <= timedelta(seconds=61)


def test_a_directory_in_the_place_of_the_entry_stays(cache: ImageCache, clock: MemoryClock) -> None:
    (cache.directory / ENTRY).mkdir()
    clock.advance(timedelta(days=9000))

    result = purge_of(cache, clock).purge(IMAGE, even_pinned=False, wait=lambda: None)

    assert result.outcome is Outcome.ERROR
    assert "move it elsewhere" in result.reason
    assert names(cache) == {ENTRY}
    assert record_name(ENTRY) not in names(cache)
