"""Each entry has its record: written before the entry, removed after it, and never in the way of a boot or a fetch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import ImageId
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.records.entry_record import FROM_IMAGE_SERVICE, EntryRecord
from precache.imagecache.staging import Fetched, Staging
from tests.unit.imagecache.another_process import PROLOGUE, another_process
from tests.unit.imagecache.conftest import ENTRY, IMAGE, RECORD

DIGEST, OTHER_DIGEST = f"sha512:{'ab' * 64}", f"sha512:{'cd' * 64}"
OTHER_IMAGE = ImageId("00000000-0000-0000-0000-000000000001")
YEAR = timedelta(days=365)

FETCHED = EntryRecord(
    image=IMAGE,
    image_name="web",
    digest=DIGEST,
    source=FROM_IMAGE_SERVICE,
    source_digest=DIGEST,
    format="raw",
    requested_by="job-1",
)

KILLED_BEFORE_THE_ENTRY = f"""
from precache.imagecache.records.entry_records import EntryRecords
class Stopped(EntryRecords):
    def describe(self, record, staging):
        super().describe(record, staging)
        say("recorded")
        hear()
cache.records = Stopped(directory=cache.directory, clock=SystemClock())
def produce(staging):
    path = staging.path("download")
    path.write_text("content")
    return Fetched(path, EntryRecord(image=ImageId("{IMAGE}")))
cache.ensure(ImageId("{IMAGE}"), produce)
"""

KILLED_BEFORE_THE_RECORD = f"""
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.disks.in_use import InstanceDisks
class Stopped(EntryRecords):
    def remove(self, entry):
        say("removed")
        hear()
cache.records = Stopped(directory=cache.directory, clock=SystemClock())
disks = InstanceDisks(instances_path=root / "instances", cache_directory=cache.directory)
EntryRemoval(cache=cache, disks=disks, clock=SystemClock()).remove("{ENTRY}", "unused")
"""

FULL_DISK = f"""
import logging
logging.basicConfig(stream=sys.stdout)
cache.start()
def produce(staging):
    path = staging.path("download")
    path.write_text("content")
    with staging.path("filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass
    return Fetched(path, EntryRecord(image=ImageId("{IMAGE}")))
say(cache.ensure(ImageId("{IMAGE}"), produce))
say(sorted(path.name for path in cache.directory.iterdir()))
"""

ON_SMALL_DISK = 'mount -t tmpfs -o size=1M tmpfs "$1" && exec "$2" -c "$3" "$1"'


def produce_with(record: EntryRecord, content: bytes = b"content") -> Callable[[Staging], Fetched]:
    def produce(staging: Staging) -> Fetched:
        path = staging.path("download")
        path.write_bytes(content)
        return Fetched(path, record)

    return produce


def fetch(cache: ImageCache, record: EntryRecord = FETCHED) -> None:
    assert cache.ensure(IMAGE, produce_with(record))


def names(cache: ImageCache) -> list[str]:
    return sorted(path.name for path in cache.directory.iterdir())


def record_path(cache: ImageCache) -> Path:
    return cache.directory / RECORD


def make_obstacle(path: Path, kind: str) -> None:
    """Put something else in the place of the file."""
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes({"empty": b"", "text": b"not a record", "long": b"[" * 100_000, "binary": b"\xff\x00"}[kind])


def test_a_fetched_entry_has_the_record_with_its_size_and_time(cache: ImageCache, clock: MemoryClock) -> None:
    fetch(cache)

    found = cache.records.read(ENTRY)

    assert found == EntryRecord(
        image=IMAGE,
        image_name="web",
        digest=DIGEST,
        source="image service",
        source_digest=DIGEST,
        size_bytes=len(b"content"),
        format="raw",
        requested_by="job-1",
        cached_at=clock.now(),
    )
    assert record_path(cache).stat().st_mode & 0o777 == 0o644


def test_a_new_fetch_replaces_the_record_but_keeps_the_pins(cache: ImageCache) -> None:
    pins = (Pin("job:1", None),)
    cache.records.write(EntryRecord(image=IMAGE, digest=OTHER_DIGEST, requested_by="job-0", pins=pins))

    fetch(cache)

    found = cache.records.read(ENTRY)
    assert found is not None
    assert (found.digest, found.requested_by, found.pins) == (DIGEST, "job-1", pins)


def test_a_restored_image_is_still_that_of_the_job_that_had_it_cached(cache: ImageCache) -> None:
    cache.records.write(replace(FETCHED, requested_by="job-0", pins=(Pin("job:0", None),)))

    fetch(cache, replace(FETCHED, requested_by=""))

    found = cache.records.read(ENTRY)
    assert found is not None
    assert found.requested_by == "job-0"


def test_a_record_that_cannot_be_written_fails_no_fetch(cache: ImageCache, caplog: pytest.LogCaptureFixture) -> None:
    make_obstacle(record_path(cache), "directory")

    fetch(cache)

    assert cache.path_of(IMAGE).read_bytes() == b"content"
    assert f"The record of image {IMAGE} could not be written, so the image will be in the cache" in caplog.text


def test_a_full_disk_costs_the_record_and_not_the_entry(tmp_path: Path) -> None:
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("this machine mounts no file system for a test")
    program = [sys.executable, PROLOGUE + FULL_DISK]

    run = subprocess.run(
        [*alone, "sh", "-c", ON_SMALL_DISK, "sh", tmp_path, *program], capture_output=True, text=True, check=True
    )

    assert run.stdout.splitlines()[-2:] == ["True", f"['{ENTRY}']"]
    assert f"The record of image {IMAGE} could not be written" in run.stdout
    assert "the disk is full" in run.stdout


@pytest.mark.parametrize("is_same", [True, False])
def test_an_earlier_record_stays_only_with_the_same_content_if_it_cannot_be_replaced(
    cache: ImageCache, is_same: bool
) -> None:
    earlier = EntryRecord(
        image=IMAGE,
        source_digest=DIGEST if is_same else OTHER_DIGEST,
        size_bytes=len(b"content"),
        format="raw",
        pins=(Pin("job:1", None),),
    )
    cache.records.write(earlier)
    too_long = EntryRecord(image=IMAGE, source_digest=DIGEST, format="raw", image_name="x" * (1 << 16))

    fetch(cache, too_long)

    assert cache.records.read(ENTRY) == (earlier if is_same else None)


def test_an_entry_that_could_not_be_published_has_no_record(cache: ImageCache) -> None:
    def produce(staging: Staging) -> Fetched:
        fetched = produce_with(FETCHED)(staging)
        os.link(fetched.entry, staging.path("second"))  # which publish refuses
        return fetched

    with pytest.raises(Exception, match="another process replaced this file"):
        cache.ensure(IMAGE, produce)

    assert names(cache) == []


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "empty", "text", "long", "binary"])
def test_anything_else_in_the_place_of_a_record_is_no_record_and_no_hindrance(
    cache: ImageCache, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(cache)
    make_obstacle(record_path(cache), kind)

    found = [cache.records.read(ENTRY) for _ in range(3)]
    cache.start()

    assert found == [None] * 3
    assert caplog.text.count(f"The record {record_path(cache)} cannot be used") == 1
    assert not cache.ensure(IMAGE, produce_with(FETCHED))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 3}, "it has version 3, and only 1 and 2 are known"),
        ({"image": OTHER_IMAGE}, f"it is that of image {OTHER_IMAGE}"),
        ({"image": "web"}, "is not an image id"),
        ({"digest": "crc32"}, "its digest is none"),
        ({"size_bytes": "7"}, "its size is no number of bytes"),
        ({"cached_at": "2030-01-01T00:00:00"}, "its time has no time zone"),
        ({"pins": [{"until": None}]}, "KeyError: 'by'"),
    ],
)
def test_a_record_with_something_else_in_it_is_not_used_and_the_reason_is_logged(
    cache: ImageCache, changes: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(cache)
    document = json.loads(record_path(cache).read_text()) | changes
    record_path(cache).write_text(json.dumps(document))

    assert cache.records.read(ENTRY) is None
    assert reason in caplog.text


def test_a_record_that_is_cut_off_anywhere_is_not_used(cache: ImageCache) -> None:
    fetch(cache)
    text = record_path(cache).read_bytes()

    found = []
    for length in range(len(text) - 1):
        record_path(cache).write_bytes(text[:length])
        found.append(cache.records.read(ENTRY))

    assert set(found) == {None}


def test_what_later_releases_add_to_a_record_is_ignored(cache: ImageCache) -> None:
    fetch(cache)
    before = cache.records.read(ENTRY)
    document = json.loads(record_path(cache).read_text()) | {"mood": "fine"}
    record_path(cache).write_text(json.dumps(document))

    assert cache.records.read(ENTRY) == before


def test_a_kill_between_record_and_entry_leaves_nothing_after_the_next_start(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, KILLED_BEFORE_THE_ENTRY) as process:
        assert process.hear() == "recorded"
        cache.start()  # of another compute on the same cache: the fetch is alive
        while_alive = names(cache)
        process.kill()
    left = names(cache)

    cache.start()

    assert RECORD in while_alive
    assert RECORD in left
    assert ENTRY not in left
    assert names(cache) == []


def test_a_kill_between_entry_and_record_leaves_nothing_after_the_next_start(cache: ImageCache, tmp_path: Path) -> None:
    fetch(cache)
    (tmp_path / "instances").mkdir()
    with another_process(tmp_path, KILLED_BEFORE_THE_RECORD) as process:
        assert process.hear() == "removed"
        process.kill()
    left = names(cache)

    cache.start()

    assert left == [RECORD]
    assert names(cache) == []


@pytest.mark.parametrize(("hours", "stays"), [([], False), ([1], True), ([0], True), ([None], True)])
def test_the_record_of_a_pinned_entry_that_is_gone_stays_also_if_the_clock_says_that_its_pin_is_over(
    cache: ImageCache, clock: MemoryClock, hours: list[int | None], stays: bool
) -> None:
    ends = [None if after is None else clock.now() + timedelta(hours=after) for after in hours]
    cache.records.write(EntryRecord(image=IMAGE, pins=tuple(Pin("job:1", end) for end in ends)))

    cache.start()

    assert names(cache) == ([RECORD] if stays else [])


def test_a_record_without_an_entry_that_cannot_be_removed_fails_no_start(
    cache: ImageCache, caplog: pytest.LogCaptureFixture
) -> None:
    make_obstacle(record_path(cache), "directory")

    cache.start()

    assert "A record without an entry could not be removed" in caplog.text


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_clock_that_jumps_changes_no_record(cache: ImageCache, clock: MemoryClock, jump: timedelta) -> None:
    fetch(cache)
    cache.records.write(EntryRecord(image=OTHER_IMAGE, pins=(Pin("job:1", None),)))
    before = {path.name: path.read_bytes() for path in cache.directory.iterdir()}

    later = MemoryClock(start=clock.now() + jump)
    ImageCache(directory=cache.directory, locks_directory=cache.locks.directory, clock=later).start()

    assert {path.name: path.read_bytes() for path in cache.directory.iterdir()} == before
    assert cache.records.read(ENTRY) is not None
