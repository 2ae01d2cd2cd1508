"""Several concurrent requests for one image: one downloads it, the others wait and find it."""

from __future__ import annotations

import ctypes
import json
import os
import random
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.conftest import MIB
from tests.system.glance_answers import held_until
from tests.system.operating import aggregate, cache_of, ended, entry, request, tasks
from tests.system.played_glance import PlayedGlance, PlayedImage
from tests.system.serving import serving
from tests.waiting import PATIENCE_S, wait_until
from tools.local_service import PROGRAM, LocalService

pytestmark = pytest.mark.system

DATA = random.Random(11).randbytes(2 * MIB)

NOVA = """
import sys
from oslo_concurrency import lockutils
locks, entry = sys.argv[1:]
with lockutils.lock(entry, lock_file_prefix="nova", external=True, lock_path=locks):
    print("held", flush=True)
    sys.stdin.readline()
"""
"""What nova-compute does around the fetch of a boot, with the library that it does it with."""


@pytest.fixture(scope="module")
def glance() -> Iterator[PlayedGlance]:
    with PlayedGlance() as played:
        yield played


@pytest.fixture(scope="module")
def service(glance: PlayedGlance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    environment = {"OS_GLANCE__ENDPOINT_OVERRIDE": glance.url, "OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "4"}
    with serving(tmp_path_factory.mktemp("single"), hosts="cell1:cmp-1", environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def number(service: LocalService) -> int:
    return aggregate(service, "cmp-1")


@pytest.fixture
def held(glance: PlayedGlance) -> Iterator[tuple[PlayedImage, threading.Event]]:
    """An image whose data are held back until the event is set."""
    told = threading.Event()
    yield glance.add(DATA, held_until(told)), told
    told.set()


def wait_until_asked(service: LocalService, image: PlayedImage, times: int) -> None:
    """Wait until the host has begun to see to the image for so many requests."""
    wait_until(lambda: service.log.count(f"Caching image {image.id} by request on cmp-1") == times)


def lock_of(service: LocalService, image: PlayedImage) -> Path:
    return cache_of(service, "cmp-1").parent / "locks" / f"nova-{entry(service, 'cmp-1', image.id).name}"


def outcome(service: LocalService, job: str) -> str | None:
    found: str | None = tasks(service, job)["cmp-1"]["outcome"]
    return found


@contextmanager
def disk_create(
    service: LocalService, glance: PlayedGlance, image: PlayedImage, directory: Path
) -> Iterator[subprocess.Popen[str]]:
    """Make a disk on the service's host in a process of its own, as for an instance."""
    instances = cache_of(service, "cmp-1").parent
    line = [PROGRAM, "disk", "create", "--image", image.id, "--path", directory / "disk", "-f", "json"]
    line += ["--instances-path", instances]
    environment = {**os.environ, "OS_GLANCE__ENDPOINT_OVERRIDE": glance.url}
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def nova_compute(service: LocalService, image: PlayedImage) -> Iterator[subprocess.Popen[str]]:
    """Hold the entry's lock, as a boot from the image does, until something is written to the process."""
    line = [sys.executable, "-c", NOVA, lock_of(service, image).parent, entry(service, "cmp-1", image.id).name]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@contextmanager
def watched(file: Path) -> Iterator[Callable[[], None]]:
    """Return a function that waits until a process opens the file, from now on."""
    libc, in_open = ctypes.CDLL(None, use_errno=True), 0x20
    fd = libc.inotify_init1(os.O_CLOEXEC)
    try:
        assert libc.inotify_add_watch(fd, os.fsencode(file), in_open) > 0, os.strerror(ctypes.get_errno())
        yield lambda: _readable(fd)
    finally:
        os.close(fd)


def _readable(fd: int) -> None:
    assert select.select([fd], [], [], PATIENCE_S)[0]


def test_requests_for_one_image_download_it_once(service, number, held):
    image, told = held

    jobs = [request(service, number, image.id) for _ in range(3)]
    wait_until_asked(service, image, times=3)
    assert image.asked.wait(PATIENCE_S)
    told.set()

    assert [ended(service, job) for job in jobs] == ["succeeded"] * 3
    assert sorted(str(outcome(service, job)) for job in jobs) == ["cached", "existing", "existing"]
    assert image.ranges == [None]
    assert entry(service, "cmp-1", image.id).read_bytes() == DATA


def test_a_request_waits_for_the_boot_that_downloads_its_image(service, glance, number, held, tmp_path):
    image, told = held

    with disk_create(service, glance, image, tmp_path) as process:
        assert image.asked.wait(PATIENCE_S)
        job = request(service, number, image.id)
        wait_until_asked(service, image, times=1)
        assert outcome(service, job) is None
        told.set()
        answer = json.loads(process.communicate()[0])

    assert ended(service, job) == "succeeded"
    assert (answer["image_was"], outcome(service, job)) == ("fetched", "existing")
    assert image.ranges == [None]


def test_a_boot_waits_for_the_request_that_downloads_its_image(service, glance, number, held, tmp_path):
    image, told = held
    job = request(service, number, image.id)
    assert image.asked.wait(PATIENCE_S)

    with watched(lock_of(service, image)) as waits_for_lock, disk_create(service, glance, image, tmp_path) as process:
        waits_for_lock()
        told.set()
        answer = json.loads(process.communicate()[0])

    assert ended(service, job) == "succeeded"
    assert (answer["image_was"], outcome(service, job)) == ("cached", "cached")
    assert image.ranges == [None]


def test_a_request_waits_for_nova_compute_and_takes_what_it_has_fetched(service, number, held):
    image, _ = held
    with nova_compute(service, image) as nova:
        job = request(service, number, image.id)
        wait_until_asked(service, image, times=1)
        assert outcome(service, job) is None
        entry(service, "cmp-1", image.id).write_bytes(DATA)
        nova.communicate("done\n")

    assert ended(service, job) == "succeeded"
    assert outcome(service, job) == "existing"
    assert image.ranges == []


def test_a_request_waits_for_nova_compute_and_downloads_what_it_has_not_fetched(service, number, held):
    image, told = held
    told.set()
    with nova_compute(service, image) as nova:
        job = request(service, number, image.id)
        wait_until_asked(service, image, times=1)
        assert (outcome(service, job), image.ranges) == (None, [])
        nova.communicate("done\n")

    assert ended(service, job) == "succeeded"
    assert outcome(service, job) == "cached"
    assert image.ranges == [None]
