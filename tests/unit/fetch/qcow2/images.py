"""Images for the tests of the reader: made by qemu-img, each once in a run."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.disk_images.making import DISK_BYTES, MIB, Workshop

PLAIN = ()
COMPRESSED = ("-c",)
ZSTD = ("-c", "-o", "compression_type=zstd")


@cache
def image(*options: str, size: int = DISK_BYTES) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return bytes(Workshop(Path(folder)).convert("qcow2", *options, size=size))


__all__ = ["COMPRESSED", "DISK_BYTES", "MIB", "PLAIN", "ZSTD", "image"]
