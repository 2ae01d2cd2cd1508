"""A real service in a process of its own, over real disk images, for the tests of this folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.lab.cloud import Cloud
from tests.lab.mariadb import Mariadb
from tests.lab.rabbitmq import RabbitMq
from tests.system.deployed import CONTENT, Deployed, deployed
from tools.local_service import LocalService

MIB = 1024**2

COMPLAINTS = ("Traceback", "Exception ignored", "Exception in thread", "Fatal Python error", "Warning:")
"""Messages of Python or a library on errors that were not handled."""

LINES_AROUND = 40

KILLED = -signal.SIGKILL  # by the test itself


def complaints(logs: Iterable[str]) -> list[str]:
    """Return each complaint of these logs, with the lines around it."""
    found = []
    for log in logs:
        lines = log.splitlines()
        at = [number for number, line in enumerate(lines) if any(each in line for each in COMPLAINTS)]
        found += ["\n".join(lines[max(number - 5, 0) : number + LINES_AROUND]) for number in at]
    return found


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The directory that the service serves as its image service; files are put there before its start."""
    directory = tmp_path / "images"
    directory.mkdir()
    return directory


@pytest.fixture
def new_service(tmp_path: Path, images: Path) -> Iterator[Callable[..., LocalService]]:
    """Return a function that makes a service, not started; each is stopped when the test ends.

    Every service must end with 0 when it is stopped, and must never print a traceback.
    """
    made: list[LocalService] = []

    def make(hosts: str = "cell1:cmp-1", inside: Sequence[str] = ()) -> LocalService:
        service = LocalService(state=tmp_path / "state", images=images, hosts=hosts, inside=inside)
        made.append(service)
        return service

    yield make
    codes = [service.stop() for service in made]
    logs = [service.whole_log for service in made]
    assert not complaints(logs), "\n".join(logs)
    assert all(code in (0, KILLED) for code in codes), codes


def settled(file: Path) -> Path:
    """Make a file look finished for a while: one that was written a moment ago is not offered yet."""
    os.utime(file, (file.stat().st_mtime - 60,) * 2)
    return file


def random_raw(file: Path, size_mib: int, hole_mib: int = 0) -> Path:
    """Write a raw disk image of incompressible data, with a hole behind it. Same size, same bytes."""
    source = random.Random(size_mib)
    with file.open("wb") as out:
        for _ in range(size_mib):
            out.write(source.randbytes(MIB))
        out.truncate((size_mib + hole_mib) * MIB)
    return settled(file)


def qemu_img(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def qcow2(file: Path, size_mib: int, hole_mib: int = 0) -> Path:
    """Write a qcow2 disk image of incompressible data, which is decoded while it arrives."""
    return _converted(file, "qcow2", size_mib, hole_mib)


def vdi(file: Path, size_mib: int) -> Path:
    """Write a VDI disk image of incompressible data, which qemu-img decodes."""
    return _converted(file, "vdi", size_mib)


def _converted(file: Path, disk_format: str, size_mib: int, hole_mib: int = 0) -> Path:
    raw = random_raw(file.with_suffix(".tmp"), size_mib, hole_mib)
    qemu_img("convert", "-f", "raw", "-O", disk_format, raw, file)
    raw.unlink()
    return settled(file)


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, cloud: Cloud, rabbitmq: RabbitMq, mariadb: Mariadb
) -> Iterator[Deployed]:
    """A deployment of two cells beside a real cloud, which must print no traceback."""
    with deployed(tmp_path_factory.mktemp("deployed"), cloud, rabbitmq, mariadb) as running:
        yield running
    assert not complaints(running.precache.logs().values())


@pytest.fixture
def image(here: Deployed) -> str:
    """The id of an image with `CONTENT`."""
    return here.cloud.glance.upload_image(CONTENT, visibility="public")
