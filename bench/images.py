"""The images of the benchmark: made from a fixed seed, so that all runs measure the same bytes."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EXTENT_MIB = 4
"""Data lies in extents of this length, spread evenly over the disk with holes in between."""

_PAGE = 4096
_SEED = 2_81


@dataclass(frozen=True, slots=True)
class TestImage:
    """One image. disk_per_data: the size of the disk as a multiple of its data."""

    name: str
    file_name: str
    disk_per_data: int
    is_compressed: bool = False

    @property
    def disk_format(self) -> str:
        return self.file_name.rpartition(".")[2]

    def make(self, folder: Path, data_mib: int) -> Path:
        """Write the image with `data_mib` of data into `folder`, and return its path."""
        path = folder / self.file_name
        raw = path if self.disk_format == "raw" else path.with_suffix(".tmp")
        _write_raw(raw, data_mib, self.disk_per_data, _half_compressible if self.is_compressed else _incompressible)
        if raw != path:
            options = ["-c"] if self.is_compressed else []
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, path], check=True)
            raw.unlink()
        return path


IMAGES = (
    TestImage("raw with holes", "holes.raw", disk_per_data=3),
    TestImage("qcow2", "plain.qcow2", disk_per_data=4),
    TestImage("compressed qcow2", "compressed.qcow2", disk_per_data=4, is_compressed=True),
)


def _write_raw(path: Path, data_mib: int, disk_per_data: int, content: Callable[[random.Random], bytes]) -> None:
    chance = random.Random(_SEED)
    with path.open("wb") as file:
        for number in range(data_mib // EXTENT_MIB):
            file.seek(number * disk_per_data * EXTENT_MIB << 20)
            file.write(content(chance))
        file.truncate(data_mib * disk_per_data << 20)


def _incompressible(chance: random.Random) -> bytes:
    return chance.randbytes(EXTENT_MIB << 20)


def _half_compressible(chance: random.Random) -> bytes:
    """Return pages of half random and half repeated bytes, which zlib halves."""
    filler = b"precache" * (_PAGE // 2 // 8)
    noise = chance.randbytes(EXTENT_MIB << 19)
    return b"".join(noise[at : at + _PAGE // 2] + filler for at in range(0, len(noise), _PAGE // 2))
