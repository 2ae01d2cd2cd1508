"""The record of an entry, as it is stored."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import ImageId
from precache.core.pins import Pin
from precache.imagecache.records.entry_record import EntryRecord

IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40)
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
DIGESTS = st.just("") | st.binary(min_size=32, max_size=32).map(lambda value: f"tree-sha256:{value.hex()}")


@given(
    st.builds(
        EntryRecord,
        image=st.just(IMAGE),
        image_name=WORDS,
        image_family=WORDS,
        digest=DIGESTS,
        source=WORDS,
        source_digest=DIGESTS,
        size_bytes=st.none() | st.integers(0, 1 << 62),
        format=WORDS,
        requested_by=WORDS,
        cached_at=TIMES,
        verified_at=TIMES,
        pins=st.lists(st.builds(Pin, WORDS, TIMES), max_size=3).map(tuple),
    )
)
def test_a_record_is_read_as_it_was_written(record: EntryRecord) -> None:
    assert EntryRecord.read(record.text()) == record


def test_a_record_of_the_previous_release_is_a_pin_of_an_unknown_job() -> None:
    text = (
        b'{"version": 1, "image": "155d900f-4e14-4e4c-a73d-069cbf4541e6", "kept_until": "2030-01-01T00:00:00+00:00"}\n'
    )

    assert EntryRecord.read(text) == EntryRecord(image=IMAGE, pins=(Pin("", datetime(2030, 1, 1, tzinfo=UTC)),))
