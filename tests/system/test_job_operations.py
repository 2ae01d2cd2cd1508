"""Every operation of a job on caches of real files, with a kill -9 of the service while they are done."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.system.conftest import random_raw
from tests.system.operating import call, ended, entry, ids, succeed, tasks
from tools.local_service import LocalService

pytestmark = pytest.mark.system

HOUR_S = 3600


class Case(NamedTuple):
    """A job for one host. before: what is done there first. ends: how the task may end. is_left: the entry after it."""

    host: str
    operation: str
    before: str
    ends: tuple[str, ...]
    is_left: bool
    is_pinned: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    reason: str = ""


CASES = (
    Case("verified", "verify", "cache", ("intact",), is_left=True),
    Case("corrupt", "verify", "corrupt", ("corrupt",), is_left=False),
    # If the service is killed after the work and before its answer is stored, the second call finds nothing to do.
    Case("purged", "purge", "cache", ("purged", "absent"), is_left=False),
    Case("kept", "purge", "pin", ("error",), is_left=True, is_pinned=True, reason="even_pinned"),
    Case("purged-pinned", "purge", "pin", ("purged", "absent"), is_left=False, options=(("even_pinned", True),)),
    Case("pinned", "pin", "cache", ("pinned",), is_left=True, is_pinned=True),
    Case("pinned-until", "pin", "cache", ("pinned",), True, True, (("keep_until", "2034-01-01T00:00:00Z"),)),
    Case("unpinned", "unpin", "pin", ("unpinned", "absent"), is_left=True),
    Case("never-pinned", "pin", "", ("error",), is_left=False, reason="not in the image cache"),
    Case("empty", "purge", "", ("absent",), is_left=False),
)


def start_job(service: LocalService, operation: str, image: str, *hosts: str, **options: Any) -> str:
    body: dict[str, Any] = {"operation": operation, "images": [{"image": image, **options}], "target": {"hosts": hosts}}
    if operation == "cache":
        body["transfer"] = "direct"  # what hosts serve to each other is in use for a while, and could not be purged
    job: str = succeed(service, "POST", "/v1/jobs", body).json()["job"]["id"]
    return job


def prepare(service: LocalService, image: str) -> None:
    """Bring the cache of each host into the state before its job."""
    cached = [case.host for case in CASES if case.before]
    assert ended(service, start_job(service, "cache", image, *cached)) == "succeeded"
    pinned = [case.host for case in CASES if case.before == "pin"]
    assert ended(service, start_job(service, "pin", image, *pinned)) == "succeeded"
    for case in CASES:
        path = entry(service, case.host, image)
        if case.before == "corrupt":
            with path.open("r+b") as file:
                file.seek(path.stat().st_size // 2)
                file.write(b"X" * 64)
        if case.before:
            # nova-compute touches an entry before it makes a disk on it; so a purge waits for the age of some seconds.
            os.utime(path, (time.time() - HOUR_S, time.time() - HOUR_S))


def has_pins(service: LocalService, host: str, image: str) -> bool:
    record = entry(service, host, image).with_suffix(".precache")
    return record.exists() and bool(json.loads(record.read_text()).get("pins"))


def test_each_operation_ends_as_it_should_although_the_service_is_killed(
    new_service: Callable[..., LocalService], images
):
    random_raw(images / "web.raw", 8)
    service = new_service(",".join(f"cell1:{case.host}" for case in CASES))
    environment = {
        "OS_CONDUCTOR__JOBS_AT_ONCE": str(len(CASES)),
        "OS_IMAGE_CACHE__RESTORE_PINNED": "false",
        "OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": str(len(CASES)),
    }
    service.start(environment)
    image = ids(service)["web"]
    prepare(service, image)

    jobs = {case: start_job(service, case.operation, image, case.host, **dict(case.options)) for case in CASES}
    service.kill()
    service.start(environment)

    for case, job in jobs.items():
        ended(service, job)
        (task,) = tasks(service, job).values()
        assert task["outcome"] in case.ends, (case, task)
        assert case.reason in task["reason"]
        assert entry(service, case.host, image).exists() is case.is_left, case
        assert has_pins(service, case.host, image) is case.is_pinned, case
    shown = service.get("/v1/jobs?operation=purge&operation=unpin")["jobs"]
    assert {job["id"] for job in shown} == {jobs[case] for case in CASES if case.operation in ("purge", "unpin")}
    assert "aggregate.cache_images" not in service.whole_log
    refused = call(service, "POST", "/v1/jobs", {"operation": "erase", "images": [{"image": image}], "target": {}})
    assert refused.status_code == 400
