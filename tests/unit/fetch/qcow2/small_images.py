"""Small images that are damaged by tests: made by qemu's tools, and such as other programs may write."""

from __future__ import annotations

import functools

from tests.disk_images.qcow2_layouts import KIB, Layout, image_of
from tests.disk_images.qcow2_writer import KINDS, Qcow2Writer, Shape

_BY_QEMU = (
    Layout(cluster_bytes=512, size_bytes=90 * KIB),
    Layout("written compressed", cluster_bytes=4096, compression="zlib", size_bytes=300 * KIB),
    Layout("overwritten", cluster_bytes=512, compression="zstd", size_bytes=90 * KIB),
    Layout("discarded", cluster_bytes=1024, compat="0.10", compression="zlib", size_bytes=300 * KIB),
    Layout("zeroed", cluster_bytes=16 * KIB, is_extended=True, compression="zlib", size_bytes=300 * KIB),
    Layout("snapshot deleted", cluster_bytes=512, is_odd=True, size_bytes=90 * KIB),
    Layout("shrunk and grown", cluster_bytes=512, is_odd=True, size_bytes=200 * KIB),
    Layout("with bitmap", cluster_bytes=4096, size_bytes=90 * KIB),
)

_BY_OTHERS = (
    Shape(KINDS * 9, seed=1),
    Shape(KINDS * 9, seed=2, version=2, order="as by qemu"),
    Shape(KINDS * 9, seed=3, cluster_bits=10, is_zstd=True, order="tables last", unused=2),
    Shape("c" * 150, seed=4, order="backwards"),
    Shape("c" * 90, seed=5, order="as by qemu"),
    Shape(KINDS * 2, seed=6, cluster_bits=14, is_extended=True, ends_early=True),
    Shape("p" * 130, seed=7, order="data first, backwards"),
    Shape("pc" * 70, seed=8, order="L1 last", unused=1),
)


@functools.cache
def foreign_images() -> list[bytes]:
    return [Qcow2Writer(shape).image for shape in _BY_OTHERS]


@functools.cache
def small_images() -> list[bytes]:
    """Return images of both kinds."""
    return [*map(image_of, _BY_QEMU), *foreign_images()]
