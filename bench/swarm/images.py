"""The images of the benchmark: qcow2 files of incompressible data from a fixed seed, and their next versions."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

from tests.system.conftest import settled

PIECE = 64 << 10
_SEED = 2_81
CHANGED_SHARE = 0.05


def make_image(folder: Path, name: str, size_mib: int) -> Path:
    """Write `NAME.qcow2` into the folder, and `NAME.raw`, which hosts keep of it, beside the folder."""
    raw = folder.parent / f"{name}.raw"
    chance = random.Random(f"{_SEED} {name} {size_mib}")
    with raw.open("wb") as out:
        for _ in range(size_mib):
            out.write(chance.randbytes(1 << 20))
    return _packed(folder, raw)


def make_next_version(folder: Path, old: str, name: str) -> tuple[Path, int]:
    """Write an image as the old one, with 5 % of its blocks of 64 KiB changed, in places all over it.

    Return its path, and how many bytes are changed.
    """
    raw = folder.parent / f"{name}.raw"
    raw.write_bytes((folder.parent / f"{old}.raw").read_bytes())
    chance = random.Random(f"{_SEED} {name}")
    pieces = raw.stat().st_size // PIECE
    changed = chance.sample(range(pieces), max(1, int(pieces * CHANGED_SHARE)))
    with raw.open("r+b") as file:
        for piece in changed:
            file.seek(piece * PIECE)
            file.write(chance.randbytes(PIECE))
    return _packed(folder, raw), len(changed) * PIECE


def _packed(folder: Path, raw: Path) -> Path:
    image = folder / f"{raw.stem}.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    return settled(image)
