"""Two computes whose instances directories are one, mounted twice, as hosts have it on NFS.

The kernel of a test machine seldom has NFS, so the directory is mounted with `mount --bind`: both see the same files
and the same locks, under two paths.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import qcow2
from tests.system.operating import cache_of, data_requests, entry, ids
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="a directory is mounted twice, which needs root"),
]

HOSTS = ("cmp-1", "cmp-2")


@pytest.fixture
def mounted_twice(new_service, images) -> Iterator:
    """Return a service of two hosts that share one instances directory, not started."""
    service = new_service("cell1:cmp-1,cell1:cmp-2")
    first, second = (cache_of(service, host).parent for host in HOSTS)
    for directory in (first, second):
        directory.mkdir(parents=True)
    made = subprocess.run(["mount", "--bind", first, second], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a directory cannot be mounted twice here: {made.stderr.strip()}")
    yield service
    service.stop()
    subprocess.run(["umount", second], check=True)


def announced(service, host: str) -> list[str]:
    directory: Path = cache_of(service, host) / ".precache-sharers"
    return sorted(path.name for path in directory.glob("cmp-?"))


def test_a_job_downloads_once_and_marks_both_hosts(mounted_twice, images):
    service = mounted_twice
    qcow2(images / "web.qcow2", 4, hole_mib=4)
    service.start({"OS_DEFAULT__REPORT_INTERVAL": "1"})
    web = ids(service)["web"]
    wait_until(lambda: announced(service, "cmp-1") == list(HOSTS))
    request = ("job", "create", "--image", "web", "--host", "cmp-1", "--host", "cmp-2")
    # The first heartbeat may have left before the cache was known.
    wait_until(lambda: service.run(*request, "--dry-run")["bytes_to_move"] == (images / "web.qcow2").stat().st_size)

    job = service.run(*request, "--wait", "--all")

    assert {task["host"]: task["outcome"] for task in job["tasks"]} == {"cmp-1": "cached", "cmp-2": "existing"}
    assert data_requests(service) == 1
    [marked] = [task for task in job["tasks"] if task["host"] == "cmp-2"]
    assert (marked["reason"], marked["bytes_done"]) == ("by host cmp-1, which shares this cache", 0)
    assert entry(service, "cmp-1", web).samefile(entry(service, "cmp-2", web))
