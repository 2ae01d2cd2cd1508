"""All entries are verified, each at its time, whatever is found in one of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.imagecache.cache import ImageCache
from precache.imagecache.names import entry_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.verification.content_digest import content_digest
from precache.imagecache.verification.paced_reading import PacedReading
from precache.imagecache.verification.verification_rounds import VerificationRounds
from tests.unit.imagecache.cleaning.test_cleaner import OTHER, put, put_overlay
from tests.unit.imagecache.verification.test_entry_verification import verification_of

IMAGES = [ImageId(f"00000000-0000-4000-8000-00000000000{number}") for number in range(3)]
WEEK = timedelta(days=7)


def rounds_of(cache: ImageCache, clock: MemoryClock) -> VerificationRounds:
    verification = verification_of(cache, clock)
    return VerificationRounds(cache=cache, verification=verification, clock=clock)


def nothing(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Watch nothing."""


def verified(rounds: VerificationRounds, clock: MemoryClock) -> list[ImageId]:
    """Return the images that one round verifies, in order."""
    found: list[ImageId] = []
    while (image := rounds.verify_due(WEEK, PacedReading(clock=clock, watch=nothing))) is not None:
        found.append(image)
    return found


def publish(cache: ImageCache, clock: MemoryClock, image: ImageId, verified_at: datetime | None) -> None:
    path = put(cache, entry_name(image), clock)
    cache.records.write(EntryRecord(image=image, digest=content_digest(path), size_bytes=512, verified_at=verified_at))


def test_what_was_verified_least_recently_comes_first_and_each_once_within_the_interval(
    cache: ImageCache, clock: MemoryClock
) -> None:
    clock.advance(timedelta(days=99))
    now = clock.now()
    for image, verified_at in zip(IMAGES, [now - WEEK, None, now - WEEK + timedelta(seconds=1)], strict=True):
        publish(cache, clock, image, verified_at)
    put(cache, OTHER, clock)  # without a record
    cache.records.write(EntryRecord(image=ImageId("00000000-0000-4000-8000-00000000000a")))  # without an entry

    first = verified(rounds_of(cache, clock), clock)
    clock.advance(timedelta(seconds=1))
    after_a_restart = verified(rounds_of(cache, clock), clock)
    clock.advance(WEEK)

    assert first == [IMAGES[1], IMAGES[0]]
    assert after_a_restart == [IMAGES[2]]
    again = verified(rounds_of(cache, clock), clock)
    assert set(again[:2]) == {IMAGES[0], IMAGES[1]}
    assert again[2:] == [IMAGES[2]]


def test_an_entry_without_a_digest_is_adopted_once_within_the_interval(cache: ImageCache, clock: MemoryClock) -> None:
    publish(cache, clock, IMAGES[0], None)
    record = cache.records.read(entry_name(IMAGES[0]))
    assert record is not None
    cache.records.write(replace(record, digest=""))
    rounds = rounds_of(cache, clock)

    assert verified(rounds, clock) == [IMAGES[0]]
    clock.advance(WEEK)
    assert verified(rounds, clock) == [IMAGES[0]]
    record = cache.records.read(entry_name(IMAGES[0]))
    assert record is not None
    assert record.verified_at == clock.now()


@pytest.mark.parametrize("is_used", [True, False])
def test_a_corrupt_entry_does_not_keep_the_others_from_being_verified(
    cache: ImageCache, clock: MemoryClock, is_used: bool
) -> None:
    for image in IMAGES:
        publish(cache, clock, image, None)
    corrupt = cache.path_of(IMAGES[1])
    corrupt.write_bytes(b"1" * 512)
    clock.advance(timedelta(hours=1))
    if is_used:
        put_overlay(cache.directory.parent / "instance-1" / "disk", corrupt)

    assert sorted(verified(rounds_of(cache, clock), clock)) == sorted(IMAGES)
    assert corrupt.exists() is is_used
    assert len(cache.alarms.current()) == is_used


def test_a_time_in_the_future_is_not_believed(cache: ImageCache, clock: MemoryClock) -> None:
    publish(cache, clock, IMAGES[0], clock.now() + timedelta(days=365))

    assert verified(rounds_of(cache, clock), clock) == [IMAGES[0]]


def test_a_cache_that_is_not_there_has_nothing_to_verify(cache: ImageCache, clock: MemoryClock) -> None:
    cache.directory.rmdir()

    assert verified(rounds_of(cache, clock), clock) == []
