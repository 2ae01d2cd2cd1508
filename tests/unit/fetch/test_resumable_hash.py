"""Hashes that are stored and restored between two pieces of the data."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.fetch.resumable_hash import ResumableHash, can_be_saved

ALGORITHMS = ("sha512", "sha384", "sha256", "sha224", "sha1", "md5")

algorithms = st.sampled_from(ALGORITHMS)
pieces = st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=8)


def hash_of(algorithm: str, data: bytes = b"data") -> ResumableHash:
    hashed = ResumableHash.new(algorithm)
    hashed.update(memoryview(data))
    return hashed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_algorithms_of_image_services_can_be_saved_on_the_machines_of_this_project(algorithm):
    assert can_be_saved(algorithm)


@pytest.mark.parametrize("library", ["libcrypto.so.0", "libc.so.6"])
def test_without_the_library_or_its_functions_nothing_can_be_saved(library):
    assert not can_be_saved("sha512", (library,))


@given(algorithms, pieces)
def test_however_the_data_is_cut_and_the_state_is_saved_the_digest_is_that_of_hashlib(algorithm, pieces):
    hashed, expected = ResumableHash.new(algorithm), hashlib.new(algorithm)
    for piece, is_saved in pieces:
        hashed.update(memoryview(piece if is_saved else bytearray(piece)))
        expected.update(piece)
        assert hashed.hexdigest() == expected.hexdigest()  # which changes nothing
        if is_saved:
            hashed = ResumableHash.restore(algorithm, hashed.save())

    assert hashed.hexdigest() == expected.hexdigest()
    assert hashed.length_bytes == sum(len(piece) for piece, _ in pieces)


@pytest.mark.parametrize("algorithm", ["sha3_512", "blake2b", "", "nonsense"])
def test_of_other_algorithms_nothing_can_be_saved(algorithm):
    assert not can_be_saved(algorithm)
    with pytest.raises(ValueError, match="cannot be stored"):
        ResumableHash.new(algorithm)


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, "sha384"), (1, "OpenSSL 9.0.0 x86_64"), (2, "5"), (2, "132"), (2, "-4"), (3, "00"), (3, "")],
)
def test_a_state_with_another_field_is_refused(field, value):
    fields = hash_of("sha512").save().decode().split(";")
    fields[field] = value

    with pytest.raises(ValueError):  # noqa: PT011  of many kinds
        ResumableHash.restore("sha512", ";".join(fields).encode())


def test_the_state_of_another_algorithm_is_refused():
    with pytest.raises(ValueError, match="another library"):
        ResumableHash.restore("sha256", hash_of("sha224").save())


@given(algorithms, st.binary(max_size=300), st.data())
def test_a_damaged_state_is_refused_or_writes_beyond_nothing(algorithm, data, draw):
    state = bytearray(hash_of(algorithm, data).save())
    at = draw.draw(st.integers(0, len(state) - 1))
    state[at] = draw.draw(
        st.integers(0, 255).filter(lambda value: bytes([value]).lower() != state[at : at + 1].lower())
    )

    try:
        restored = ResumableHash.restore(algorithm, bytes(state))
    except ValueError:
        return
    restored.update(memoryview(bytes(1000)))  # a wrong position in the structure would end the process
    assert len(restored.hexdigest()) == len(hashlib.new(algorithm).hexdigest())


@given(st.binary(max_size=600))
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError):  # noqa: PT011  of many kinds
        ResumableHash.restore("sha512", state)
