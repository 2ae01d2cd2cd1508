"""The images of the benchmark: noise from a fixed seed, and the files of this machine's operating system.

The noise is the same in all runs. The files differ between machines, and are the same for all sides in one run.
"""

from __future__ import annotations

import hashlib
import os
import random
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

EXTENT_MIB = 4
"""Data lies in extents of this length, spread evenly over the disk with holes in between."""

SYSTEM_FILES = Path("/usr")

_EXTENT_BYTES = EXTENT_MIB << 20
_PAGE = 4096
_SEED = 2_81


def _noise() -> Iterator[bytes]:
    """Yield extents of bytes that cannot be compressed."""
    chance = random.Random(_SEED)
    while True:
        yield chance.randbytes(_EXTENT_BYTES)


def _half_noise() -> Iterator[bytes]:
    """Yield extents of pages of half random and half repeated bytes, which zlib halves."""
    chance = random.Random(_SEED)
    filler = b"precache" * (_PAGE // 2 // 8)
    while True:
        noise = chance.randbytes(_EXTENT_BYTES // 2)
        yield b"".join(noise[at : at + _PAGE // 2] + filler for at in range(0, len(noise), _PAGE // 2))


def _system_files() -> Iterator[bytes]:
    """Yield extents of the files of the operating system, one after another in a fixed order.

    Each file is filled up to whole pages, as in a file system. After the last file the first one follows again.
    """
    paths = sorted(_regular_files(SYSTEM_FILES), key=lambda path: hashlib.sha256(os.fsencode(path)).digest())
    content = bytearray()
    while True:
        read_bytes = 0
        for path in paths:
            for chunk in _chunks(path):
                read_bytes += len(chunk)
                content += chunk
                while len(content) >= _EXTENT_BYTES:
                    yield bytes(content[:_EXTENT_BYTES])
                    del content[:_EXTENT_BYTES]
            content += bytes(-len(content) % _PAGE)
        if not read_bytes:
            raise RuntimeError(f"no file in {SYSTEM_FILES} can be read")


def _regular_files(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                if stat.S_ISREG(os.lstat(path).st_mode):
                    yield path
            except OSError:
                continue  # it was removed meanwhile


def _chunks(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(_EXTENT_BYTES):
                yield chunk
    except OSError:
        return  # it was removed meanwhile, or is not for this user


@dataclass(frozen=True, slots=True)
class TestImage:
    """One image.

    disk_per_data: the size of the disk as a multiple of its data. extents: the content.
    compression: of a qcow2; None for none. is_in_means: whether it counts for the figures that have aims.
    """

    name: str
    file_name: str
    disk_per_data: int
    extents: Callable[[], Iterator[bytes]]
    compression: str | None = None
    is_in_means: bool = True

    @property
    def disk_format(self) -> str:
        return self.file_name.rpartition(".")[2]

    def make(self, folder: Path, data_mib: int) -> Path:
        """Write the image with `data_mib` of data into `folder`, and return its path."""
        path = folder / self.file_name
        raw = path if self.disk_format == "raw" else path.with_suffix(".tmp")
        self._write_raw(raw, data_mib)
        if raw != path:
            options = ["-c", "-o", f"compression_type={self.compression}"] if self.compression else []
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, path], check=True)
            raw.unlink()
        return path

    def _write_raw(self, path: Path, data_mib: int) -> None:
        extents = self.extents()
        with path.open("wb") as file:
            for number in range(data_mib // EXTENT_MIB):
                file.seek(number * self.disk_per_data * _EXTENT_BYTES)
                file.write(next(extents))
            file.truncate(data_mib * self.disk_per_data << 20)


IMAGES = (
    TestImage("raw with holes", "holes.raw", 3, _noise),
    TestImage("qcow2", "plain.qcow2", 4, _noise),
    TestImage("zlib, half noise", "zlib-half.qcow2", 4, _half_noise, "zlib"),
    TestImage("zlib, OS files", "zlib-files.qcow2", 4, _system_files, "zlib"),
    TestImage("zstd, half noise", "zstd-half.qcow2", 4, _half_noise, "zstd", is_in_means=False),
    TestImage("zstd, OS files", "zstd-files.qcow2", 4, _system_files, "zstd", is_in_means=False),
)
