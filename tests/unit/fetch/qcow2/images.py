"""Images for the tests of the reader: made by qemu-img once for each run, with the disk that qemu-img makes of them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.disk_images.making import DISK_BYTES, MIB, Workshop

PLAIN = ()
COMPRESSED = ("-c",)
ZSTD = ("-c", "-o", "compression_type=zstd")

LAYOUTS = {
    "plain": PLAIN,
    "compressed": COMPRESSED,
    "zstd": ZSTD,
    "version 2": ("-o", "compat=0.10"),
    "version 2 compressed": ("-c", "-o", "compat=0.10"),
    "512 B": ("-o", "cluster_size=512"),
    "512 B compressed": ("-c", "-o", "cluster_size=512"),
    "4 KiB zstd": ("-c", "-o", "cluster_size=4k,compression_type=zstd"),
    "2 MiB": ("-o", "cluster_size=2M"),
    "2 MiB compressed": ("-c", "-o", "cluster_size=2M"),
    "subclusters": ("-o", "extended_l2=on"),
    "small subclusters": ("-o", "extended_l2=on,cluster_size=16k"),
    "subclusters compressed": ("-c", "-o", "extended_l2=on"),
    "preallocated": ("-o", "preallocation=full"),
    "preallocated tables": ("-o", "preallocation=metadata"),
    "refcounts of 1 bit": ("-o", "refcount_bits=1"),
    "refcounts of 64 bits": ("-o", "refcount_bits=64"),
    "out of order": ("-c", "-W", "-m", "16", "-o", "cluster_size=4k"),
}


@cache
def image(*options: str, size: int = DISK_BYTES) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return bytes(Workshop(Path(folder)).convert("qcow2", *options, size=size))


@cache
def disk_of(image: bytes) -> bytes:
    """Return what `qemu-img convert` makes of the image."""
    with tempfile.TemporaryDirectory() as folder:
        return Workshop(Path(folder)).raw_of(image, "qcow2")


__all__ = ["COMPRESSED", "DISK_BYTES", "LAYOUTS", "MIB", "PLAIN", "ZSTD", "disk_of", "image"]
