"""The images of the benchmark: incompressible data from a fixed seed."""

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


def make_versions(folder: Path, size_mib: int) -> int:
    """Write two raw images, `old.raw` and `new.raw`, into the folder; return how many bytes of the new one are changed.

    5 % of its blocks of 64 KiB are, in places all over it.
    """
    old, new = folder / "old.raw", folder / "new.raw"
    chance = random.Random(f"{_SEED} versions {size_mib}")
    old.write_bytes(b"".join(chance.randbytes(1 << 20) for _ in range(size_mib)))
    new.write_bytes(old.read_bytes())
    pieces = size_mib << 20 >> 16
    changed = chance.sample(range(pieces), max(1, int(pieces * CHANGED_SHARE)))
    with new.open("r+b") as file:
        for piece in changed:
            file.seek(piece * PIECE)
            file.write(chance.randbytes(PIECE))
    for path in (old, new):
        settled(path)
    return len(changed) * PIECE


def _packed(folder: Path, raw: Path) -> Path:
    """Write the content of a raw file as a qcow2 image."""
    image = folder / f"{raw.stem}.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    return settled(image)
