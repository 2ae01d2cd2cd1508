"""Nova's rule of expiry: shapes of names, limits, and what must never be removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.pins import Pin
from precache.rules.expiry import CacheFile, ExpiryLimits, Shape, expired, is_expired, shape_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIMITS = ExpiryLimits(original=timedelta(days=1), resized=timedelta(hours=1))
SHA1 = "f2d1a8250ed3d4b744a8250dab8f6840179d502a"

IMAGES = st.text("0123456789abcdef", min_size=40, max_size=40)
RESIZED = st.builds("{}_{}".format, IMAGES, st.integers(min_value=10, max_value=10**12))
BLANKS = st.sampled_from(["swap_512", "swap_1", "ephemeral_10_abc1234", "ephemeral_20_default"])
FOREIGN = st.builds(
    "{}.{}".format, IMAGES, st.sampled_from(["part", "converted", "precache-ab-raw", "overlays", "tmp"])
)
AGES = st.timedeltas(min_value=-timedelta(days=3), max_value=timedelta(days=3))
LIMIT = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3))


def files(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[CacheFile]]:
    file = st.builds(lambda name, age: CacheFile(name, NOW - age), names, AGES)
    return st.lists(file, unique_by=lambda found: found.name)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (SHA1, Shape.IMAGE),
        ("any forty characters count as an image..", Shape.IMAGE),
        (f"{SHA1}_20", Shape.RESIZED),
        (f"{SHA1}_sm", Shape.RESIZED),
        (f"{SHA1}_10737418240", Shape.RESIZED),
        (f"{SHA1}_5", None),
        ("swap_512", Shape.BLANK),
        ("ephemeral_10_abc1234", Shape.BLANK),
        (f"{SHA1}.part", None),
        (f"{SHA1}.converted", None),
        (f"{SHA1}.precache", None),
        (f"{SHA1}.precache-0123abcd-download", None),
        (".hidden", None),
        ("", None),
    ],
)
def test_the_shape_of_a_name_decides_its_kind(name: str, shape: Shape | None) -> None:
    assert shape_of(name) is shape


@pytest.mark.parametrize(
    ("name", "age", "answer"),
    [
        (SHA1, timedelta(days=1), True),
        (SHA1, timedelta(days=1) - timedelta(microseconds=1), False),
        (f"{SHA1}_20", timedelta(hours=1), True),
        (f"{SHA1}_20", timedelta(minutes=59), False),
        ("swap_512", timedelta(hours=2), False),
        ("swap_512", timedelta(days=1), True),
        (SHA1, -timedelta(days=400), False),
        (f"{SHA1}.part", timedelta(days=400), False),
    ],
)
def test_a_file_expires_exactly_at_the_limit_of_its_shape(name: str, age: timedelta, answer: bool) -> None:
    assert is_expired(CacheFile(name, NOW - age), NOW, LIMITS) is answer


@given(found=files(IMAGES | RESIZED | BLANKS | FOREIGN), original=LIMIT, resized=LIMIT, data=st.data())
def test_only_unused_files_of_novas_shapes_that_reached_their_limit_are_chosen(
    found: list[CacheFile], original: timedelta, resized: timedelta, data: st.DataObject
) -> None:
    in_use = data.draw(st.sets(st.sampled_from([file.name for file in found]))) if found else set()

    chosen = expired(found, in_use, NOW, ExpiryLimits(original, resized))

    for file in chosen:
        assert file.name not in in_use
        assert shape_of(file.name) is not None
        assert NOW - file.last_used >= (resized if shape_of(file.name) is Shape.RESIZED else original)


@given(found=files(FOREIGN))
def test_foreign_files_are_never_chosen(found: list[CacheFile]) -> None:
    assert expired(found, set(), NOW, ExpiryLimits(timedelta(), timedelta())) == []


@given(
    age_at_first_pass=st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=1)),
    interval=st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(hours=1)),
    limit=st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=30)),
)
def test_an_unused_file_lives_for_its_limit_and_at_most_one_interval_more(
    age_at_first_pass: timedelta, interval: timedelta, limit: timedelta
) -> None:
    file = CacheFile(SHA1, NOW)
    now = NOW + min(age_at_first_pass, interval)

    while not is_expired(file, now, ExpiryLimits(original=limit, resized=limit)):
        now += interval

    assert limit <= now - file.last_used <= limit + interval


@given(found=files(IMAGES))
def test_the_oldest_are_removed_first(found: list[CacheFile]) -> None:
    chosen = expired(found, set(), NOW, LIMITS)

    assert [file.last_used for file in chosen] == sorted(file.last_used for file in chosen)


@given(name=IMAGES, age=AGES, left=AGES | st.none(), original=LIMIT)
def test_a_pinned_image_never_expires_also_if_the_clock_says_that_its_pin_is_over(
    name: str, age: timedelta, left: timedelta | None, original: timedelta
) -> None:
    pin = Pin("job:1", None if left is None else NOW + left)

    assert not is_expired(CacheFile(name, NOW - age, (pin,)), NOW, ExpiryLimits(original, original))
