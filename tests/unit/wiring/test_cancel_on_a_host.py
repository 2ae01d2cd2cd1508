"""A cancel ends a host's work wherever it is, and leaves nothing: the real driver, a real image service over HTTP.

Without the cancel none of these waits would end: the image service does not answer, another process has the lock,
qemu-img does not start.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from precache.core.jobs import Outcome, Phase
from precache.imagecache.names import entry_name
from tests.system.slow_qemu_img import SlowQemuImg
from tests.unit.wiring.host_world import BY_QEMU_IMG, MIB, PATIENCE_S, image_of, start_host
from tests.waiting import wait_until


@pytest.fixture
def images(tmp_path):
    directory = tmp_path / "images"
    directory.mkdir()
    return directory


@pytest.fixture
def world(tmp_path, images):
    """Return a function that starts a host beside such an image service."""
    with ExitStack() as stack:
        yield lambda **options: start_host(tmp_path, images, stack, **options)


def cancel_while(world, request, holds):
    """Cancel the request as soon as that holds; return the result."""
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(world.compute.process_images, request)
        wait_until(lambda: holds() or running.done())
        assert not running.done(), running.result()
        began = time.monotonic()
        world.compute.cancel_job(request.job_id)
        (result,) = running.result(PATIENCE_S)
    print(f"ended {time.monotonic() - began:.2f} s after the cancel")  # for `pytest -rP`; the machine is shared
    return result


def test_while_the_image_service_does_not_answer(world, images):
    image_of(images, "raw")
    host = world(answers=1)  # that is the list of images

    result = cancel_while(host, host.request(), lambda: host.has_reported(Phase.WAITING))

    assert (result.outcome, result.bytes_moved, result.reason) == (Outcome.CANCELLED, 0, "")
    assert host.left_behind() == []


def test_while_the_image_service_does_not_begin_to_send(world, images):
    image_of(images, "raw")
    host = world(answers=2)  # the list of images, and the record of this one

    result = cancel_while(host, host.request(), lambda: host.has_reported(Phase.DOWNLOADING) and host.slow.requests > 2)

    assert (result.outcome, result.bytes_moved) == (Outcome.CANCELLED, 0)
    assert host.files() == []  # The thread that asked is left behind until its request times out.


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_while_it_downloads(world, images, disk_format):
    image_of(images, disk_format)
    host = world()

    result = cancel_while(host, host.request(), lambda: host.has_reported(Phase.DOWNLOADING, 1))

    assert (result.outcome, result.reason) == (Outcome.CANCELLED, "")
    assert 0 < result.bytes_moved < 4 * MIB
    assert host.left_behind() == []


def test_while_a_limit_slows_the_download_down(world, images):
    image_of(images, "raw", 16)
    host = world(sends_freely=1)
    request = host.request(rate_limit_bytes_per_s=MIB)

    result = cancel_while(host, request, lambda: host.has_reported(Phase.DOWNLOADING, 1))

    assert result.outcome is Outcome.CANCELLED
    assert host.left_behind() == []


def test_while_it_converts(world, images, tmp_path, monkeypatch):
    image_of(images, "qcow2")
    qemu_img = SlowQemuImg(tmp_path)
    monkeypatch.setenv("PATH", qemu_img.environment["PATH"])
    host = world(sends_freely=1, settings=BY_QEMU_IMG)

    result = cancel_while(
        host, host.request(), lambda: qemu_img.has_begun and host.has_reported(Phase.CONVERTING, 4 * MIB)
    )

    assert result.outcome is Outcome.CANCELLED
    assert result.bytes_moved > 4 * MIB
    assert not qemu_img.has_begun
    assert host.left_behind() == []


HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_while_it_waits_for_the_lock_of_the_entry_that_another_process_has(world, images):
    image_of(images, "raw")
    host = world(sends_freely=1)
    request = host.request()
    lock = host.instances / "locks" / f"nova-{entry_name(request.images[0])}"
    nova = subprocess.Popen([sys.executable, "-c", HOLD_LOCK, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert nova.stdout.readline() == b"held\n"

    result = cancel_while(host, request, lambda: host.has_reported(Phase.WAITING))

    assert nova.communicate()[0] == b""
    assert (result.outcome, result.bytes_moved) == (Outcome.CANCELLED, 0)
    assert host.slow.data_requests == 0
    assert host.left_behind() == []


def test_the_download_of_the_same_image_for_another_job_continues(world, images):
    image_of(images, "raw")
    host = world()
    request, other = host.request("job"), host.request("other")

    with ThreadPoolExecutor(1) as threads:
        second = []

        def first_downloads():
            if host.has_reported(Phase.DOWNLOADING, 1) and not second:
                second.append(threads.submit(host.compute.process_images, other))
            return second and host.has_reported_waiting_for("other")

        result = cancel_while(host, request, first_downloads)
        assert result.outcome is Outcome.CANCELLED
        host.slow.release()

        assert second[0].result(PATIENCE_S)[0].outcome is Outcome.CACHED
    assert host.left_behind() == [entry_name(request.images[0])]


def test_the_image_can_be_cached_after_a_cancel(world, images):
    image_of(images, "qcow2")
    host = world()
    cancel_while(host, host.request(), lambda: host.has_reported(Phase.DOWNLOADING, 1))
    host.slow.release()

    (result,) = host.compute.process_images(host.request("another"))

    assert result.outcome is Outcome.CACHED
    assert host.left_behind() == [entry_name(result.image)]
