"""Compressed clusters: what expands to exactly the cluster is accepted; all else is left to qemu-img, and cheaply."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest
import zstandard
from isal import isal_zlib

from precache.fetch.decoding.inflaters import new_inflater
from precache.fetch.decoding.placements import Compression, NotStreamable

CLUSTER = 65536
NOISE = random.Random(5).randbytes(20_000)
FAR = (NOISE * 4)[:CLUSTER]
"""Repeats what is 20,000 bytes back, beyond the window of 4 KiB that qemu asks for; qemu-img reads it."""


def deflate(data: bytes, *, bits: int = -15) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, bits)
    return coder.compress(data) + coder.flush()


def zstd(data: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


CODERS = {
    Compression.DEFLATE: deflate,
    Compression.ZLIB: lambda data: deflate(data, bits=15),
    Compression.ZSTD: zstd,
}


@pytest.fixture(params=[isal_zlib, zlib], ids=["isal", "zlib"])
def inflate(request):
    """Return a function that expands a cluster with one of the libraries."""
    return lambda compression, data: new_inflater(compression, request.param)(data, CLUSTER)


@pytest.mark.parametrize("after", [b"", b"bytes of the next cluster" * 20], ids=["alone", "followed"])
@pytest.mark.parametrize(
    "data", [bytes(CLUSTER), FAR, random.Random(6).randbytes(CLUSTER)], ids=["zero", "far", "noise"]
)
@pytest.mark.parametrize("compression", Compression)
def test_cluster_is_what_was_compressed(inflate, compression, data, after):
    assert inflate(compression, CODERS[compression](data) + after) == data


def test_frame_without_its_size_is_read(inflate):
    coder = zstandard.ZstdCompressor().compressobj()

    assert inflate(Compression.ZSTD, coder.compress(FAR) + coder.flush() + b"rest") == FAR


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize(
    "change",
    [
        lambda code, data: code(data[:-1]),
        lambda code, data: code(data + b"x"),
        lambda code, data: code(data)[:-1],
        lambda code, data: code(data)[:100],
        lambda code, data: b"",
        lambda code, data: b"\xff" * 600,
        lambda code, data: code(data[:-1]) + code(data[-1:]),
    ],
    ids=["shorter", "longer", "no end", "cut", "empty", "garbage", "two streams"],
)
def test_anything_else_is_refused(inflate, compression, change):
    with pytest.raises(NotStreamable, match="compressed cluster"):
        inflate(compression, change(CODERS[compression], FAR))


@pytest.mark.parametrize("compression", [Compression.ZLIB, Compression.ZSTD])
def test_wrong_checksum_is_refused(inflate, compression):
    code = deflate(FAR, bits=15) if compression is Compression.ZLIB else zstd(FAR, write_checksum=True)

    with pytest.raises(NotStreamable, match="damaged"):
        inflate(compression, code[:-1] + bytes([code[-1] ^ 1]))


@pytest.mark.parametrize(
    ("compression", "bomb"),
    [
        (Compression.DEFLATE, deflate(bytes(64 << 20))),
        (Compression.ZSTD, zstd(bytes(64 << 20))),
        (Compression.ZSTD, bytes.fromhex("28b52ffd e0 ffffffffffffff00 010000")),  # claims 64 PiB
        (Compression.ZSTD, bytes.fromhex("28b52ffd 00 a8 010000")),  # asks for a window of 2 GiB
    ],
    ids=["deflate", "zstd", "size", "window"],
)
def test_bomb_takes_no_memory(inflate, compression, bomb):
    tracemalloc.start()
    try:
        with pytest.raises(NotStreamable):
            inflate(compression, bomb)
        assert tracemalloc.get_traced_memory()[1] < 8 * CLUSTER
    finally:
        tracemalloc.stop()
