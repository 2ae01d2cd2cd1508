"""The records between hosts, and what a receiver makes of bytes that are none."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.relays import PIECE_BYTES
from precache.swarm.wire import (
    DIGEST_BYTES,
    MOST_BYTES,
    MOST_HASHES,
    RECORD_HEAD,
    ZERO_DIGEST,
    HashBatch,
    MalformedRecord,
    RecordKind,
    hashes_content,
    offer_content,
    piece_count,
    piece_length,
    read_hashes,
    read_head,
    read_offer,
    read_root,
    record,
)

DIGESTS = st.one_of(st.just(ZERO_DIGEST), st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES))
KEYS = st.binary(min_size=32, max_size=32).filter(any)


@st.composite
def batches(draw: st.DrawFn) -> HashBatch:
    digests = draw(st.lists(DIGESTS, min_size=1, max_size=40))
    first = draw(st.integers(0, 1 << 20))
    size_bytes = (first + len(digests) + draw(st.integers(0, 1 << 20))) * PIECE_BYTES - draw(st.integers(0, 65_535))
    if draw(st.booleans()):
        return HashBatch(size_bytes, first, b"".join(digests))
    signature = draw(st.binary(min_size=64, max_size=64))
    return HashBatch(size_bytes, first, b"".join(digests), draw(KEYS).hex(), signature)


@given(batches())
def test_a_batch_of_hashes_comes_out_as_it_went_in(batch: HashBatch) -> None:
    content = hashes_content(batch)

    assert read_hashes(content) == batch
    assert len(content) <= MOST_BYTES[RecordKind.HASHES]


def test_a_piece_of_zeros_takes_one_bit_in_a_batch() -> None:
    batch = HashBatch(MOST_HASHES * PIECE_BYTES, 0, ZERO_DIGEST * MOST_HASHES)

    assert len(hashes_content(batch)) < 640


def test_the_longest_batch_fits_into_a_record() -> None:
    batch = HashBatch(MOST_HASHES * PIECE_BYTES, 0, hashlib.sha256(b"x").digest() * MOST_HASHES)

    content = hashes_content(batch)

    assert read_head(record(RecordKind.HASHES, content)[: RECORD_HEAD.size]) == (RecordKind.HASHES, len(content))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_record_are_refused_or_read_within_their_limits(content: bytes) -> None:
    for read in (read_hashes, read_offer, read_root):
        try:
            found = read(content)
        except MalformedRecord:
            continue
        if isinstance(found, HashBatch):
            assert 0 < found.count <= MOST_HASHES
            assert found.end <= piece_count(found.size_bytes)


@given(batches(), st.data())
def test_a_batch_that_was_cut_or_lengthened_is_refused(batch: HashBatch, data: st.DataObject) -> None:
    content = hashes_content(batch)
    cut = data.draw(st.integers(0, len(content) - 1))

    for wrong in (content[:cut], content + b"\0"):
        with pytest.raises(MalformedRecord):
            read_hashes(wrong)


@pytest.mark.parametrize(
    ("kind", "length"), [(0, 0), (9, 0), (RecordKind.PIECE, PIECE_BYTES + 5), (RecordKind.ROOT, 1 << 31)]
)
def test_a_record_of_an_unknown_kind_or_of_too_many_bytes_is_refused_by_its_head(kind: int, length: int) -> None:
    with pytest.raises(MalformedRecord):
        read_head(RECORD_HEAD.pack(kind, length))


def test_what_is_signed_differs_in_each_field() -> None:
    batch = HashBatch(PIECE_BYTES * 2, 0, bytes(32))
    others = [HashBatch(PIECE_BYTES * 2, 1, bytes(32)), HashBatch(PIECE_BYTES * 2 - 1, 0, bytes(32))]

    signed = [each.signed_content("relay") for each in (batch, *others)] + [batch.signed_content("relay2")]

    assert len(set(signed)) == len(signed)


def test_an_offer_comes_out_as_it_went_in() -> None:
    assert read_offer(offer_content(1 << 40)) == 1 << 40


@pytest.mark.parametrize(
    ("size", "count", "last"),
    [(1, 1, 1), (PIECE_BYTES, 1, PIECE_BYTES), (PIECE_BYTES + 1, 2, 1)],
)
def test_the_last_piece_has_what_is_left(size: int, count: int, last: int) -> None:
    assert piece_count(size) == count
    assert piece_length(count - 1, size) == last
