"""Decompression of single clusters, in which the data is a stranger's: all output is bounded.

What is accepted here must be what qemu makes of it, and qemu uses zlib. zlib-ng refuses what zlib refuses. isal and
libdeflate are a little faster, but accept damaged data: isal incomplete codes of distances, libdeflate symbols that
mean nothing.

A function of `new_inflater` belongs to one thread. A decompressor of zstd that two threads use at once crashes the
interpreter.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import ModuleType

import zstandard

from precache.fetch.decoding.placements import Compression, NotStreamable

_zlib: ModuleType = zlib
with suppress(ImportError):  # no wheel for this machine: only slower
    from zlib_ng import zlib_ng

    _zlib = zlib_ng

HAS_ZLIB_NG = _zlib is not zlib

Inflater = Callable[[bytes, int], bytes]
"""Return what the data expands to, exactly so many bytes; other data may follow its end. Raises NotStreamable."""

# qemu asks for 12 bits and gets more: zlib refuses only what lies before its output.
_WINDOW_BITS = {Compression.DEFLATE: -15, Compression.ZLIB: 15}

_DAMAGED = "a compressed cluster is damaged: {}"
_WRONG_LENGTH = "a compressed cluster does not have {} bytes"

_UNKNOWN = -1

_MOST_WINDOW_BYTES = 8 << 20
"""What each decompressor of zstd must support by its format; memory is allocated for it."""


def new_inflater(compression: Compression, library: ModuleType = _zlib) -> Inflater:
    """Return a function for one thread. library: of deflate, with the names of `zlib`."""
    if compression is Compression.ZSTD:
        return partial(_expand_zstd, zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES))
    return partial(_expand_zlib, library, _WINDOW_BITS[compression])


def _expand_zlib(library: ModuleType, window_bits: int, data: bytes, cluster_bytes: int) -> bytes:
    state = library.decompressobj(window_bits)
    try:
        cluster = bytes(state.decompress(data, cluster_bytes))
        if len(cluster) == cluster_bytes and not state.eof:
            # The output was full before the end mark was read. One byte more shows whether there is one.
            cluster += state.decompress(state.unconsumed_tail, 1)
    except library.error as error:
        raise NotStreamable(_DAMAGED.format(error)) from error
    if not state.eof or len(cluster) != cluster_bytes:
        raise NotStreamable(_WRONG_LENGTH.format(cluster_bytes))
    return cluster


def _expand_zstd(decompressor: zstandard.ZstdDecompressor, data: bytes, cluster_bytes: int) -> bytes:
    try:
        # Memory is allocated for the size that a frame claims.
        if zstandard.frame_content_size(data) not in (_UNKNOWN, cluster_bytes):
            raise NotStreamable(_WRONG_LENGTH.format(cluster_bytes))
        cluster = decompressor.decompress(data, max_output_size=cluster_bytes)
    except zstandard.ZstdError as error:
        raise NotStreamable(_DAMAGED.format(error)) from error
    if len(cluster) != cluster_bytes:
        raise NotStreamable(_WRONG_LENGTH.format(cluster_bytes))
    return cluster
