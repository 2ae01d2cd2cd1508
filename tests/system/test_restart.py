"""The service ends during a download, by kill -9 or a signal: the next start finishes the job."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from requests import RequestException

from tests.lab.slow_images import SlowImages, slow_images
from tests.system.conftest import random_raw, vdi
from tests.system.operating import (
    aggregate,
    data_requests,
    ended,
    entry,
    ids,
    litter,
    notifications,
    request,
    tasks,
    wait_until,
)
from tests.system.slow_qemu_img import SlowQemuImg
from tools.local_service import LocalService

pytestmark = pytest.mark.system

HOSTS = ("cmp-1", "cmp-2", "cmp-3")

HOLDER = """
import sys
from pathlib import Path
from precache.adapters.clock_system import SystemClock
from precache.imagecache.entry_lock import EntryLocks
with EntryLocks(directory=Path(sys.argv[1]), clock=SystemClock()).hold(sys.argv[2], lambda: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def slow(images: Path, tmp_path: Path) -> Iterator[SlowImages]:
    """An image service that stalls from the second download on."""
    random_raw(images / "web.raw", 8)
    with slow_images(images, tmp_path / "slow-index.json", sends_freely=1) as service:
        yield service


def start(service: LocalService, slow: SlowImages) -> None:
    service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_GLANCE__NUM_RETRIES": "0"})


def begin(service: LocalService, slow: SlowImages) -> str:
    """Start a job on all hosts and wait until its second download has stalled."""
    start(service, slow)
    job = request(service, aggregate(service, *HOSTS), ids(service)["web"])
    wait_until(lambda: tasks(service, job)["cmp-2"]["bytes_done"])
    return job


def stored_states(service: LocalService) -> list[str]:
    """Return the states of all jobs, read from the database of a service that does not run."""
    with closing(sqlite3.connect(service.state / "precache.sqlite")) as database:
        return [state for (state,) in database.execute("select state from jobs")]


def test_after_a_kill_during_a_download_the_job_resumes_and_calls_no_host_twice(new_service, slow):
    service = new_service("cell1:cmp-1,cell2:cmp-2,cell1:cmp-3")
    job = begin(service, slow)

    service.kill()

    left = litter(service)
    assert sorted(file.rpartition("-")[2] for file in left) == ["download", "lock", "promise"]
    assert all("/cmp-2/" in file for file in left)
    assert notifications(service.log) == [("start", None), ("progress", "cmp-1")]
    slow.release()

    start(service, slow)

    assert ended(service, job) == "succeeded"
    assert litter(service) == []
    found = tasks(service, job)
    assert {host: task["outcome"] for host, task in found.items()} == dict.fromkeys(HOSTS, "cached")
    assert {host: task["attempts"] for host, task in found.items()} == {"cmp-1": 1, "cmp-2": 2, "cmp-3": 1}
    assert slow.data_requests == 1 + 2 + 1
    assert notifications(service.log) == [("progress", "cmp-2"), ("progress", "cmp-3"), ("end", None)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_told_to_end_during_a_download_it_ends_cleanly_and_the_next_start_finishes_the_job(new_service, slow, how):
    service = new_service("cell1:cmp-1,cell2:cmp-2,cell1:cmp-3")
    job = begin(service, slow)

    assert service.stop(how) == 0

    assert litter(service) == []
    assert stored_states(service) == ["queued"]
    assert f"Job {job} continues at the next start" in service.log
    slow.release()

    start(service, slow)

    assert ended(service, job) == "succeeded"
    assert tasks(service, job)["cmp-1"]["attempts"] == 1
    assert [kind for kind, _ in notifications(service.whole_log)] == ["start", *["progress"] * 3, "end"]


def test_told_to_end_it_waits_neither_for_a_silent_image_service_nor_for_idle_clients(new_service, images, tmp_path):
    random_raw(images / "web.raw", 4)
    with ExitStack() as open_until_the_end:
        slow = open_until_the_end.enter_context(slow_images(images, tmp_path / "slow-index.json", answers=1))
        service = new_service()
        start(service, slow)
        web, number = ids(service)["web"], aggregate(service, "cmp-1")
        job = request(service, number, web)
        wait_until(lambda: slow.requests == 2)  # the compute's
        threading.Thread(target=request_in_vain, args=(service, number, web)).start()
        wait_until(lambda: slow.requests == 3)  # the API's
        for _ in range(30):
            address = ("127.0.0.1", int(service.url.rpartition(":")[2]))
            open_until_the_end.enter_context(closing(socket.create_connection(address)))

        assert service.stop(signal.SIGTERM) == 0

        # The thread that waits for the image service ends with the process, and leaves its empty lock file behind.
        assert [file for file in litter(service) if not file.endswith("-lock")] == []
        slow.release()
        start(service, slow)
        assert ended(service, job) == "succeeded"
        assert litter(service) == []


def test_told_to_end_while_another_process_fills_the_entry_it_does_not_wait_for_it(new_service, images):
    random_raw(images / "web.raw", 4)
    service = new_service()
    service.start({})
    web = ids(service)["web"]
    with lock_held(entry(service, "cmp-1", web)):
        job = request(service, aggregate(service, "cmp-1"), web)
        wait_until(lambda: tasks(service, job)["cmp-1"]["state"] == "running")

        assert service.stop(signal.SIGTERM) == 0

        assert stored_states(service) == ["queued"]
    service.start({})
    assert ended(service, job) == "succeeded"
    assert tasks(service, job)["cmp-1"]["attempts"] == 2
    assert data_requests(service) == 1


def test_told_to_end_together_with_its_children_it_takes_no_image_for_broken(new_service, images, tmp_path):
    vdi(images / "web.vdi", 4)
    slow = SlowQemuImg(tmp_path)
    service = new_service(inside=["setsid"])  # a process group of its own, as terminals and systemd give
    service.start(slow.environment)
    job = request(service, aggregate(service, "cmp-1"), ids(service)["web"])
    wait_until(lambda: slow.has_begun and tasks(service, job)["cmp-1"]["phase"] == "converting")

    os.killpg(service.pid, signal.SIGINT)
    os.killpg(service.pid, signal.SIGTERM)

    assert service.wait() == 0
    assert litter(service) == []
    assert stored_states(service) == ["queued"]
    slow.release()
    service.start({})
    assert ended(service, job) == "succeeded"


def request_in_vain(service: LocalService, number: int, image: str) -> None:
    with suppress(RequestException):
        request(service, number, image)


@contextmanager
def lock_held(file: Path) -> Iterator[None]:
    """Hold the lock of a cache entry in another process."""
    command = [sys.executable, "-c", HOLDER, str(file.parents[1] / "locks"), file.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.kill()
