"""What a verification finds, and what is in the cache afterwards."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_entries import AlarmKind, Verification
from precache.core.errors import CacheUnusable, DomainsUnknown, EntryCorrupt, Stopped
from precache.core.jobs import Outcome, Phase
from precache.core.operation_result import OperationResult
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.names import parse_quarantined, record_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.listing import EntryLister
from precache.imagecache.verification.content_digest import content_digest
from precache.imagecache.verification.corrupt_entries import CorruptEntries
from precache.imagecache.verification.entry_verification import EntryVerification
from precache.imagecache.verification.paced_reading import PacedReading
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.cleaning.test_cleaner import HOLDER, Domains, names, put_overlay
from tests.unit.imagecache.cleaning.test_entry_removal import removal_of
from tests.unit.imagecache.conftest import ENTRY, IMAGE

HOLE_AT, HOLE_END, SIZE = 1 << 20, 3 << 20, (5 << 20) + 77
FOREVER = (Pin("job:1"),)


@dataclass
class Watch:
    """The port `Watcher`: stores the reports; `act` is called at each of a running read."""

    act: Callable[[int], None] = lambda _read: None
    reports: list[tuple[Phase, int, int]] = field(default_factory=list)

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.reports.append((phase, bytes_done, bytes_total))
        self.act(len(self.reports))


def write_content(path: Path, seed: int = 0) -> None:
    """Make a file with data, a hole, data, and an end that is no whole block."""
    data = bytes((byte * 7 + seed) % 251 + 1 for byte in range(256)) * 4096
    with path.open("wb") as file:
        file.write(data)
        file.seek(HOLE_END)
        file.write((data * 3)[: SIZE - HOLE_END])


def publish(cache: ImageCache, clock: MemoryClock, *, pins: tuple[Pin, ...] = ()) -> Path:
    """Put a whole entry with its record into the cache."""
    path = cache.directory / ENTRY
    write_content(path)
    now = clock.now().timestamp()
    os.utime(path, (now, now))
    cache.records.write(
        EntryRecord(
            image=IMAGE,
            digest=content_digest(path),
            source="image service",
            size_bytes=SIZE,
            format="raw",
            cached_at=clock.now(),
            pins=pins,
        )
    )
    return path


def verify(
    cache: ImageCache, clock: MemoryClock, watch: Watch | None = None, domains: Domains | None = None
) -> OperationResult:
    return verification_of(cache, clock, domains).verify(IMAGE, PacedReading(clock=clock, watch=watch or Watch()))


def verification_of(cache: ImageCache, clock: MemoryClock, domains: Domains | None = None) -> EntryVerification:
    return EntryVerification(cache=cache, corrupt=corrupt_of(cache, clock, domains), clock=clock, host="host1")


def corrupt_of(cache: ImageCache, clock: MemoryClock, domains: Domains | None = None) -> CorruptEntries:
    return CorruptEntries(
        cache=cache,
        removal=removal_of(cache, clock, domains),
        quarantine=Quarantine(directory=cache.directory, clock=clock),
        clock=clock,
        host="host1",
    )


def do_not_wait() -> None:
    """Wait for nothing."""


def quarantined(cache: ImageCache) -> list[str]:
    return [name for name in names(cache) if parse_quarantined(name)]


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x10]))


def _resize(path: Path, size: int) -> None:
    os.truncate(path, size)


def _replace(path: Path, put: Callable[[Path], object]) -> None:
    path.unlink()
    put(path)


FAULTS: dict[str, Callable[[Path], None]] = {
    "a byte in the middle": lambda path: flip(path, SIZE // 2 + (1 << 20)),
    "the first byte": lambda path: flip(path, 0),
    "the last byte": lambda path: flip(path, SIZE - 1),
    "a byte in a hole": lambda path: flip(path, HOLE_AT + (1 << 19)),
    "truncated": lambda path: _resize(path, SIZE - 1),
    "truncated to nothing": lambda path: _resize(path, 0),
    "grown by a hole": lambda path: _resize(path, SIZE + 4096),
    "another image's": lambda path: _replace(path, lambda new: write_content(new, seed=1)),
    "a link": lambda path: _replace(path, lambda new: new.symlink_to("/etc/hostname")),
    "a link to nothing": lambda path: _replace(path, lambda new: new.symlink_to("/no/such/file")),
    "a directory": lambda path: _replace(path, Path.mkdir),
    "a pipe": lambda path: _replace(path, os.mkfifo),
}

any_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


def test_a_whole_entry_is_intact_and_its_record_says_when(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock, pins=FOREVER)
    before = cache.records.read(ENTRY)
    cache.alarms.set(AlarmKind.CORRUPT, ENTRY, IMAGE, "of an earlier time")
    clock.advance(timedelta(hours=1))

    result = verify(cache, clock)

    assert result == OperationResult(Outcome.INTACT)
    assert before is not None
    assert cache.records.read(ENTRY) == replace(before, verified_at=clock.now())
    assert path.stat().st_size == SIZE
    assert cache.alarms.current() == ()


def test_an_entry_with_the_digest_of_the_image_service_is_compared_with_that(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path = publish(cache, clock)
    record = cache.records.read(ENTRY)
    assert record is not None
    cache.records.write(replace(record, digest=content_digest(path, algorithm="sha512"), format="qcow2"))

    whole = verify(cache, clock)
    flip(path, 5)

    assert whole.outcome is Outcome.INTACT
    result = verify(cache, clock)
    assert result.outcome is Outcome.CORRUPT
    assert re.match(
        "its digest is sha512:[0-9a-f]{12}[.]{3}, and that of its record sha512:[0-9a-f]{12}[.]{3};", result.reason
    )


@any_fault
def test_a_corrupt_entry_is_never_served_again(
    cache: ImageCache, clock: MemoryClock, fault: Callable[[Path], None]
) -> None:
    path = publish(cache, clock)
    fault(path)

    result = verify(cache, clock)

    assert result.outcome is Outcome.CORRUPT
    (moved,) = quarantined(cache)
    assert f"moved to {cache.directory / moved}; the next boot or job fetches the image again" in result.reason
    assert names(cache) == {moved}
    assert list(cache.locks.directory.iterdir()) == []
    (removal,) = cache.removals.recent()
    assert (removal.entry, removal.image) == (ENTRY, IMAGE)
    assert moved in removal.reason
    assert cache.alarms.current() == ()


@any_fault
def test_a_corrupt_entry_on_which_a_guest_stands_stays_with_an_alarm_that_names_the_guest(
    cache: ImageCache, clock: MemoryClock, fault: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = publish(cache, clock)
    disk = cache.directory.parent / "instance-1" / "disk"
    put_overlay(disk, path)
    fault(path)

    result = verify(cache, clock)

    assert result.outcome is Outcome.CORRUPT
    assert f"it stays, because in use by 1 disk: {disk}" in result.reason
    assert names(cache) == {ENTRY, record_name(ENTRY)}
    (alarm,) = cache.alarms.current()
    assert (alarm.kind, alarm.entry, alarm.image) == (AlarmKind.CORRUPT, ENTRY, IMAGE)
    assert str(disk) in alarm.text
    assert alarm.text in caplog.text


def test_a_restart_does_not_forget_that_an_entry_in_use_is_corrupt(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    path = publish(cache, clock)
    put_overlay(cache.directory.parent / "instance-1" / "disk", path)
    flip(path, 0)
    verify(cache, clock)
    found_at = clock.now()
    clock.advance(timedelta(hours=1))

    again = ImageCache(directory=cache.directory, locks_directory=cache.locks.directory, clock=clock)
    corrupt_of(again, clock).set_alarms()

    (alarm,) = again.alarms.current()
    assert (alarm.kind, alarm.entry, alarm.image, alarm.since) == (AlarmKind.CORRUPT, ENTRY, IMAGE, found_at)
    assert "its digest is" in alarm.text
    (entry,) = EntryLister(cache=again, clock=clock).list().entries
    assert entry.verification is Verification.CORRUPT
    flip(path, 0)  # the bytes are right again
    assert verify(again, clock).outcome is Outcome.INTACT
    (entry,) = EntryLister(cache=again, clock=clock).list().entries
    assert (entry.verification, again.alarms.current()) == (Verification.INTACT, ())


@pytest.mark.parametrize("fault", ["size", "link"])
@pytest.mark.parametrize("has_guest", [True, False])
def test_an_entry_that_its_record_contradicts_is_replaced_without_a_verification_or_is_an_error(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path, fault: str, has_guest: bool
) -> None:
    path = publish(cache, clock)
    if has_guest:
        put_overlay(cache.directory.parent / "instance-1" / "disk", path)
    corrupt = corrupt_of(cache, clock)
    corrupt.move_known(IMAGE, do_not_wait)
    assert path.exists()
    if fault == "size":
        os.truncate(path, 999)
    else:
        path.unlink()
        path.symlink_to("/etc/passwd")

    if has_guest:
        with pytest.raises(EntryCorrupt, match="it stays, because in use by 1 disk"):
            corrupt.move_known(IMAGE, do_not_wait)
    else:
        corrupt.move_known(IMAGE, do_not_wait)
    assert os.path.lexists(path) is has_guest
    assert len(quarantined(cache)) == (0 if has_guest else 1)


def test_an_entry_that_a_verification_found_corrupt_is_replaced_when_nothing_uses_it_any_more(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path = publish(cache, clock)
    disk = cache.directory.parent / "instance-1" / "disk"
    put_overlay(disk, path)
    flip(path, 0)
    verify(cache, clock)
    corrupt = corrupt_of(cache, clock)
    with pytest.raises(EntryCorrupt, match="its digest is"):
        corrupt.move_known(IMAGE, do_not_wait)

    disk.unlink()
    corrupt.move_known(IMAGE, do_not_wait)

    assert not path.exists()
    assert cache.alarms.current() == ()


def test_a_corrupt_entry_stays_with_an_alarm_if_it_is_not_known_what_is_in_use(
    cache: ImageCache, clock: MemoryClock
) -> None:
    flip(publish(cache, clock), 0)
    domains = Domains()
    domains.found = DomainsUnknown("libvirt does not answer", "start libvirtd")

    result = verify(cache, clock, domains=domains)

    assert result.outcome is Outcome.CORRUPT
    assert "it is not known what is in use" in result.reason
    assert "start libvirtd" in result.reason
    assert names(cache) == {ENTRY, record_name(ENTRY)}
    assert len(cache.alarms.current()) == 1


def test_a_pinned_corrupt_entry_keeps_its_record_so_that_it_is_fetched_again(
    cache: ImageCache, clock: MemoryClock
) -> None:
    flip(publish(cache, clock, pins=FOREVER), 0)

    result = verify(cache, clock)

    assert "it is pinned, so it is fetched again" in result.reason
    record = cache.records.read(ENTRY)
    assert record is not None
    assert record.pins == FOREVER
    assert not (cache.directory / ENTRY).exists()


def test_one_wrong_read_does_not_make_an_entry_corrupt(
    cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
) -> None:
    path = publish(cache, clock)
    flip(path, 0)

    def repair(report: int) -> None:
        if report == 2:
            flip(path, 0)

    result = verify(cache, clock, Watch(repair))

    assert result.outcome is Outcome.INTACT
    assert "check the memory and the disk of this host" in result.reason
    assert names(cache) == {ENTRY, record_name(ENTRY)}
    assert "it is read again" in caplog.text


def test_progress_is_of_the_bytes_read_and_only_grows(cache: ImageCache, clock: MemoryClock) -> None:
    flip(publish(cache, clock), 0)
    watch = Watch()

    verify(cache, clock, watch)

    done = [bytes_done for _, bytes_done, _ in watch.reports]
    assert done == sorted(done)
    assert watch.reports[0] == (Phase.VERIFYING, 0, SIZE)
    assert watch.reports[-1] == (Phase.VERIFYING, 2 * SIZE, 2 * SIZE)  # it was read twice


def test_a_verification_can_be_stopped_and_leaves_everything_as_it_was(cache: ImageCache, clock: MemoryClock) -> None:
    publish(cache, clock)
    before = cache.records.read(ENTRY)

    def stop(_report: int) -> None:
        raise Stopped("The verification")

    with pytest.raises(Stopped):
        verify(cache, clock, Watch(stop))

    assert names(cache) == {ENTRY, record_name(ENTRY)}
    assert cache.records.read(ENTRY) == before


def test_a_boot_does_not_wait_for_a_verification(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)
    boots: list[bool] = []

    def boot(_report: int) -> None:
        with cache.locks.hold_if_free(ENTRY) as is_held:
            boots.append(is_held)
            os.utime(path)

    assert verify(cache, clock, Watch(boot)).outcome is Outcome.INTACT
    assert set(boots) == {True}


def test_a_verification_waits_for_a_process_that_has_the_lock(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    publish(cache, clock)
    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"
        watch = Watch(lambda _report: holder.say("go") if len(watch.reports) == 3 else None)

        result = verify(cache, clock, watch)

    assert watch.reports[0] == (Phase.WAITING, 0, 0)
    assert result.outcome is Outcome.INTACT


def test_an_entry_that_is_replaced_during_the_read_is_read_again(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)
    flip(path, 0)

    def refetch(report: int) -> None:
        if report == 2:
            new = path.with_name("new")
            write_content(new)
            new.rename(path)

    result = verify(cache, clock, Watch(refetch))

    assert result == OperationResult(Outcome.INTACT)


def test_an_entry_that_vanishes_during_the_read_is_absent(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)

    assert verify(cache, clock, Watch(lambda _report: path.unlink(missing_ok=True))).outcome is Outcome.ABSENT


def test_an_entry_that_is_removed_while_the_read_stands_still_is_closed_at_once(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path = publish(cache, clock)
    watch = Watch(lambda report: path.unlink() if report == 5 else None)

    result = verification_of(cache, clock).verify(IMAGE, PacedReading(clock=clock, watch=watch, rate_now=lambda: 0))

    assert result.outcome is Outcome.ABSENT
    assert len(watch.reports) <= 6


def test_an_entry_that_is_replaced_again_and_again_ends_as_an_error(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)

    def replace_it(_report: int) -> None:
        new = path.with_name("new")
        shutil.copyfile(path, new)
        new.rename(path)

    result = verify(cache, clock, Watch(replace_it))

    assert result.outcome is Outcome.ERROR
    assert "changed or replaced during each of 5 reads" in result.reason


def test_a_disk_that_is_made_between_the_read_and_the_quarantine_keeps_the_entry(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path = publish(cache, clock)
    flip(path, 0)
    disk = cache.directory.parent / "instance-1" / "disk"
    watch = Watch(lambda _report: put_overlay(disk, path) if watch.reports[-1][1] == 2 * SIZE else None)

    result = verify(cache, clock, watch)

    assert result.outcome is Outcome.CORRUPT
    assert path.exists()
    assert len(cache.alarms.current()) == 1


def test_a_boot_that_has_just_found_a_corrupt_entry_makes_its_disk_before_the_entry_is_moved(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path = publish(cache, clock)
    flip(path, 0)
    clock.advance(timedelta(days=1))
    os.utime(path, (clock.now().timestamp(), clock.now().timestamp()))  # as nova-compute does
    disk = cache.directory.parent / "instance-1" / "disk"
    watch = Watch(lambda _report: put_overlay(disk, path) if watch.reports[-1][0] is Phase.WAITING else None)

    result = verify(cache, clock, watch)

    assert f"in use by 1 disk: {disk}" in result.reason
    assert path.exists()


def test_an_image_that_is_not_cached_is_absent(cache: ImageCache, clock: MemoryClock) -> None:
    assert verify(cache, clock) == OperationResult(Outcome.ABSENT)


def test_without_the_cache_no_image_is_absent(cache: ImageCache, clock: MemoryClock) -> None:
    shutil.rmtree(cache.directory)

    with pytest.raises(CacheUnusable, match="it does not exist"):
        verify(cache, clock)


def test_an_entry_without_a_record_is_adopted_and_compared_the_next_time(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)
    cache.records.remove(ENTRY)

    first, second = verify(cache, clock), verify(cache, clock)
    record = cache.records.read(ENTRY)
    flip(path, 0)

    assert first.outcome is Outcome.UNVERIFIABLE
    assert "it had no record of its content; the digest of what is there now is stored" in first.reason
    assert second.outcome is Outcome.INTACT
    assert record is not None
    assert (record.source, record.size_bytes, record.format) == ("adopted", SIZE, "raw")
    assert verify(cache, clock).outcome is Outcome.CORRUPT


def test_an_entry_that_was_not_hashed_yet_keeps_its_source(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)
    record = cache.records.read(ENTRY)
    assert record is not None
    cache.records.write(replace(record, digest=""))

    result = verify(cache, clock)

    assert result.outcome is Outcome.UNVERIFIABLE
    assert "it was not hashed yet" in result.reason
    assert cache.records.read(ENTRY) == record
    os.truncate(path, SIZE - 1)
    cache.records.write(replace(record, digest=""))
    assert verify(cache, clock).outcome is Outcome.CORRUPT


def test_an_entry_whose_record_has_only_pins_is_adopted_and_stays_pinned(cache: ImageCache, clock: MemoryClock) -> None:
    publish(cache, clock)
    cache.records.write(EntryRecord(image=IMAGE, pins=FOREVER))

    assert verify(cache, clock).outcome is Outcome.UNVERIFIABLE
    record = cache.records.read(ENTRY)
    assert record is not None
    assert record.pins == FOREVER
    assert record.digest.startswith("tree-sha256:")


def test_an_entry_that_nova_has_fetched_in_another_format_is_adopted(cache: ImageCache, clock: MemoryClock) -> None:
    path = publish(cache, clock)
    put_overlay(path, Path("/nowhere"))  # any qcow2

    result = verify(cache, clock)

    assert result.outcome is Outcome.UNVERIFIABLE
    assert f"its record is of another file, of {SIZE} bytes in format raw" in result.reason
    assert verify(cache, clock).outcome is Outcome.INTACT


def test_an_entry_that_may_be_written_during_the_read_is_adopted_only_after_two_equal_reads(
    cache: ImageCache, clock: MemoryClock
) -> None:
    path = publish(cache, clock)
    cache.records.remove(ENTRY)
    watch = Watch(lambda report: flip(path, 0) if report == 2 else os.utime(path))

    result = verify(cache, clock, watch)
    record = cache.records.read(ENTRY)

    assert result.outcome is Outcome.UNVERIFIABLE
    assert record is not None
    assert record.digest == content_digest(path)
    assert watch.reports[-1][1] >= 2 * SIZE


@pytest.mark.parametrize("text", [b"", b"no json", b'{"version": 99, "image": "155d900f-4e14-4e4c-a73d-069cbf4541e6"}'])
def test_a_record_that_cannot_be_used_is_not_overwritten(cache: ImageCache, clock: MemoryClock, text: bytes) -> None:
    publish(cache, clock)
    record = cache.directory / record_name(ENTRY)
    record.write_bytes(text)

    result = verify(cache, clock)

    assert result.outcome is Outcome.UNVERIFIABLE
    assert re.fullmatch(
        rf"its record {re.escape(str(record))} cannot be used: .*(JSONDecodeError|only 1 and 2 are known).*; "
        "remove that file, and verify it again",
        result.reason,
    )
    assert record.read_bytes() == text


def test_a_digest_of_a_later_release_is_left_alone(cache: ImageCache, clock: MemoryClock) -> None:
    publish(cache, clock)
    record = cache.records.read(ENTRY)
    assert record is not None
    later = replace(record, digest=f"tree-later:{'0' * 64}")
    cache.records.write(later)

    result = verify(cache, clock)

    assert result.outcome is Outcome.UNVERIFIABLE
    assert "algorithm tree-later" in result.reason
    assert cache.records.read(ENTRY) == later


def test_a_link_without_a_record_is_left_alone(cache: ImageCache, clock: MemoryClock) -> None:
    (cache.directory / ENTRY).symlink_to("/etc/hostname")

    result = verify(cache, clock)

    assert result.outcome is Outcome.UNVERIFIABLE
    assert "is not a file" in result.reason
    assert names(cache) == {ENTRY}


def test_an_entry_that_cannot_be_read_is_an_error_with_an_alarm_and_stays(
    cache: ImageCache, clock: MemoryClock, as_nobody: None
) -> None:
    os.seteuid(0)
    path = publish(cache, clock)

    def forbid(_report: int) -> None:
        path.chmod(0)
        for directory in (cache.directory, cache.locks.directory):
            directory.chmod(0o777)
        os.seteuid(65534)

    verification = verify(cache, clock, Watch(forbid))

    os.seteuid(0)
    assert verification.outcome is Outcome.ERROR
    assert "cannot be read: permission denied" in verification.reason
    assert len(cache.alarms.current()) == 1
    assert path.exists()


VERIFYING = """
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.verification.paced_reading import PacedReading
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.verification.corrupt_entries import CorruptEntries
from precache.imagecache.verification.entry_verification import EntryVerification
clock = SystemClock()
class NoGuests:
    def files(self): return []
disks = InstanceDisks(instances_path=root, cache_directory=cache.directory, domains=NoGuests())
corrupt = CorruptEntries(
    cache=cache, removal=EntryRemoval(cache=cache, disks=disks, clock=clock), clock=clock, host="host1",
    quarantine=Quarantine(directory=cache.directory, clock=clock),
)
verification = EntryVerification(cache=cache, corrupt=corrupt, clock=clock, host="host1")
def stay(*_):
    say("here")
    hear()
{change}
verification.verify(ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6"), PacedReading(clock=clock, watch={watch}))
"""


def test_a_kill_during_the_read_changes_nothing_and_leaves_no_lock(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    flip(publish(cache, clock), 0)
    with another_process(tmp_path, VERIFYING.format(change="", watch="stay")) as process:
        assert process.hear() == "here"
        process.kill()

    assert names(cache) == {ENTRY, record_name(ENTRY)}
    assert verify(cache, clock).outcome is Outcome.CORRUPT


def test_a_kill_between_the_quarantine_and_the_removal_of_the_record_loses_nothing(
    cache: ImageCache, clock: MemoryClock, tmp_path: Path
) -> None:
    path = publish(cache, clock)
    flip(path, 0)
    os.utime(path, (0, 0))  # no boot has just found it
    program = VERIFYING.format(change="cache.records.remove = stay", watch="lambda *_: None")
    with another_process(tmp_path, program) as process:
        assert process.hear() == "here"
        process.kill()

    (moved,) = quarantined(cache)
    assert names(cache) == {moved, record_name(ENTRY)}
    result = verify(cache, clock)
    assert result.outcome is Outcome.CORRUPT
    assert f"a corrupt copy of it is at {cache.directory / moved}, moved there at " in result.reason
    write_content(cache.directory / ENTRY)  # nova-compute fetches it again
    assert verify(cache, clock).outcome is Outcome.INTACT


CHANGES = st.lists(st.tuples(st.integers(min_value=1, max_value=8), st.sampled_from(sorted(FAULTS))), max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.sampled_from([None, *sorted(FAULTS)]), during=CHANGES, disk_at=st.integers(min_value=0, max_value=12))
def test_what_is_in_the_cache_after_a_verification_is_whole_or_has_a_guest_and_an_alarm(
    tmp_path_factory: pytest.TempPathFactory, before: str | None, during: list[tuple[int, str]], disk_at: int
) -> None:
    root, clock = tmp_path_factory.mktemp("host"), MemoryClock()
    cache = ImageCache(directory=root / "_base", locks_directory=root / "locks", clock=clock)
    cache.start()
    path = publish(cache, clock)
    whole = content_digest(path)
    if before is not None:
        FAULTS[before](path)

    def act(report: int) -> None:
        for at, fault in during:
            if at == report and path.is_file() and not path.is_symlink() and path.stat().st_size == SIZE:
                FAULTS[fault](path)
        if report == disk_at:
            put_overlay(root / "instance-1" / "disk", path)

    result = verify(cache, clock, Watch(act))

    has_guest = (root / "instance-1").exists()
    if result.outcome is Outcome.INTACT:
        assert content_digest(path) == whole or during  # what changes after it was read is found the next time
    elif result.outcome is Outcome.CORRUPT and os.path.lexists(path):
        assert has_guest
        assert len(cache.alarms.current()) == 1
    elif result.outcome is Outcome.CORRUPT:
        assert len(quarantined(cache)) == 1
    else:
        assert result.outcome in (Outcome.ABSENT, Outcome.ERROR)
