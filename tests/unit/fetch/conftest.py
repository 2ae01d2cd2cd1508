"""A host with an empty cache directory and an image service in memory; small disk images of every format."""

from __future__ import annotations

import random
import subprocess

import pytest

from tests.unit.fetch.world import World

MIB = 1 << 20
DISK_BYTES = 6 * MIB


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "cache")


@pytest.fixture(scope="session")
def disk_bytes() -> bytes:
    """A disk with a partition table's worth of nothing at its start, some data, some text, and holes."""
    rng = random.Random(20)
    content = bytearray(DISK_BYTES)
    content[MIB : MIB + 300_000] = rng.randbytes(300_000)
    content[3 * MIB + 512 : 3 * MIB + 512 + 700_000] = b"compressible text " * 38_888 + bytes(16)
    content[5 * MIB + 4096 : 5 * MIB + 8192] = rng.randbytes(4096)
    return bytes(content)


@pytest.fixture(scope="session")
def make_image(tmp_path_factory, disk_bytes):
    """Return the bytes of the disk in one of qemu's formats; each is made once."""
    directory = tmp_path_factory.mktemp("images")
    source = directory / "disk.raw"
    source.write_bytes(disk_bytes)
    made: dict[tuple[str, ...], bytes] = {}

    def make(format_: str, *options: str) -> bytes:
        key = (format_, *options)
        if key not in made:
            target = directory / f"{len(made)}.image"
            command = ["qemu-img", "convert", "-f", "raw", "-O", format_, *options, str(source), str(target)]
            subprocess.run(command, check=True, capture_output=True)
            made[key] = target.read_bytes()
        return made[key]

    return make
