"""What was converted is hashed after it was published, once, and only if it is still the same file."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import Stopped
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.records.entry_record import ADOPTED, FROM_IMAGE_SERVICE, EntryRecord
from precache.imagecache.verification.content_digest import content_digest
from precache.imagecache.verification.missing_digests import SEARCH_INTERVAL
from tests.unit.imagecache.conftest import ENTRY, IMAGE
from tests.unit.imagecache.records.test_recorded_entries import fetch

CONVERTED = EntryRecord(image=IMAGE, source=FROM_IMAGE_SERVICE, source_digest=f"md5:{'ab' * 16}", format="raw")


def keep_on() -> None:
    """Let the work go on."""


def digest_of(cache: ImageCache) -> str:
    record = cache.records.read(ENTRY)
    assert record is not None
    return record.digest


def test_a_converted_entry_gets_the_digest_of_its_content_after_it_was_published(cache: ImageCache) -> None:
    fetch(cache, CONVERTED)
    before = cache.records.read(ENTRY)

    cache.digests.hash_all(keep_on)

    after = cache.records.read(ENTRY)
    assert before is not None
    assert after is not None
    assert (before.digest, after.digest) == ("", content_digest(cache.path_of(IMAGE)))
    assert (after.cached_at, after.source_digest) == (before.cached_at, CONVERTED.source_digest)


def test_another_process_completes_what_a_killed_one_has_published(cache: ImageCache, clock: MemoryClock) -> None:
    fetch(cache, CONVERTED)
    again = ImageCache(directory=cache.directory, locks_directory=cache.locks.directory, clock=clock)

    again.digests.hash_all(keep_on)

    assert digest_of(cache)


def test_what_another_process_publishes_later_is_found_by_the_next_search(
    cache: ImageCache, clock: MemoryClock
) -> None:
    time = MemoryClock(start=clock.now())
    again = ImageCache(directory=cache.directory, locks_directory=cache.locks.directory, clock=time)
    again.digests.hash_all(keep_on)
    fetch(cache, CONVERTED)

    found = []
    for jump in (timedelta(), SEARCH_INTERVAL, timedelta(days=-365)):
        time._now += jump
        again.digests.hash_all(keep_on)
        found.append(bool(digest_of(cache)))
        cache.records.write(CONVERTED)

    assert found == [False, True, True]


@pytest.mark.parametrize(
    "record", [EntryRecord(image=IMAGE, source=ADOPTED), EntryRecord(image=IMAGE, pins=(Pin("", None),))]
)
def test_what_another_program_made_is_not_hashed(cache: ImageCache, record: EntryRecord) -> None:
    cache.path_of(IMAGE).write_bytes(b"content")
    cache.records.write(record)

    cache.digests.hash_all(keep_on)

    assert cache.records.read(ENTRY) == record


@pytest.mark.parametrize("change", ["replaced", "gone", "unrecorded", "recorded"])
def test_what_happens_to_the_entry_while_it_is_hashed_is_never_overwritten(cache: ImageCache, change: str) -> None:
    fetch(cache, CONVERTED)
    path, record = cache.path_of(IMAGE), CONVERTED

    def interfere() -> None:
        nonlocal record
        if change == "replaced":
            path.with_suffix(".new").write_bytes(b"another")
            path.with_suffix(".new").rename(path)
        elif change == "gone":
            path.unlink(missing_ok=True)
        elif change == "unrecorded":
            cache.records.remove(ENTRY)
        else:
            record = EntryRecord(image=IMAGE, digest=f"md5:{'cd' * 16}", source=FROM_IMAGE_SERVICE)
            cache.records.write(record)

    cache.digests.hash_all(interfere)

    found = cache.records.read(ENTRY)
    assert (None if found is None else found.digest) == (None if change == "unrecorded" else record.digest)


def test_a_file_of_another_size_is_not_hashed_as_what_was_recorded(cache: ImageCache) -> None:
    fetch(cache, CONVERTED)
    cache.path_of(IMAGE).unlink()
    cache.path_of(IMAGE).write_bytes(b"by nova, in another format")

    cache.digests.hash_all(keep_on)

    assert digest_of(cache) == ""


def test_the_entry_is_not_locked_while_it_is_read(cache: ImageCache) -> None:
    fetch(cache, CONVERTED)
    free = []

    def look() -> None:
        with cache.locks.hold_if_free(ENTRY) as is_held:
            free.append(is_held)

    cache.digests.hash_all(look)

    assert free == [True]


def test_a_stop_ends_the_reading_and_the_next_process_begins_again(cache: ImageCache) -> None:
    fetch(cache, CONVERTED)

    def stop() -> None:
        raise Stopped("It")

    with pytest.raises(Stopped):
        cache.digests.hash_all(stop)
    before = digest_of(cache)
    cache.digests.hash_all(keep_on)

    assert (before, bool(digest_of(cache))) == ("", True)


def test_an_entry_that_cannot_be_read_is_logged_and_does_not_hinder_the_others(
    cache: ImageCache, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(cache, CONVERTED)
    cache.path_of(IMAGE).unlink()
    os.mkfifo(cache.path_of(IMAGE))

    cache.digests.hash_all(keep_on)
    cache.digests.hash_all(keep_on)

    assert caplog.text.count("could not be hashed, so it cannot be verified: it is not a file") == 1
