"""Unusual jobs: two at once, one whose aggregate is deleted, one without hosts, one for cells and hosts together."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.slow_images import slow_images
from tests.system.conftest import random_raw
from tests.system.operating import (
    AGGREGATES,
    aggregate,
    data_requests,
    ended,
    ids,
    litter,
    notifications,
    oldest_report_s,
    request,
    succeed,
    tasks,
    wait_until,
)

pytestmark = pytest.mark.system

PROGRESS_S = 2.0
"""The age of the oldest progress that is shown of a running task."""
MACHINE_IS_BUSY = 3
"""How many times longer it may take where other tests run."""


def test_two_requests_at_once_for_the_same_hosts_both_succeed_and_download_once(new_service, images):
    random_raw(images / "web.raw", 8)
    service = new_service("cell1:cmp-1,cell2:cmp-2")
    service.start({"OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "4"})
    web, number = ids(service)["web"], aggregate(service, "cmp-1", "cmp-2")

    with ThreadPoolExecutor(2) as clients:
        jobs = list(clients.map(lambda _: request(service, number, web), range(2)))

    assert [ended(service, job) for job in jobs] == ["succeeded", "succeeded"]
    for host in ("cmp-1", "cmp-2"):
        assert Counter(tasks(service, job)[host]["outcome"] for job in jobs) == {"cached": 1, "existing": 1}
    assert data_requests(service) == 2
    assert litter(service) == []


def test_a_job_whose_aggregate_is_deleted_meanwhile_ends_as_it_was_accepted(new_service, images, tmp_path):
    random_raw(images / "web.raw", 8)
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        service = new_service("cell1:cmp-1,cell1:cmp-2")
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url})
        number = aggregate(service, "cmp-1", "cmp-2")
        job = request(service, number, ids(service)["web"])
        wait_until(lambda: tasks(service, job)["cmp-1"]["bytes_done"])
        wait_until(lambda: has_rate_after_another_block(service, job, slow))
        assert oldest_report_s(tasks(service, job).values()) < PROGRESS_S * MACHINE_IS_BUSY
        for host in ("cmp-1", "cmp-2"):
            succeed(service, "POST", f"{AGGREGATES}/{number}/action", {"remove_host": {"host": host}})
        succeed(service, "DELETE", f"{AGGREGATES}/{number}")
        slow.release()

        assert ended(service, job) == "succeeded"

        assert {host: task["outcome"] for host, task in tasks(service, job).items()} == {
            "cmp-1": "cached", "cmp-2": "cached",
        }  # fmt: skip
        assert notifications(service.log) == [
            ("start", None), ("progress", "cmp-1"), ("progress", "cmp-2"), ("end", None),
        ]  # fmt: skip


def has_rate_after_another_block(service, job, slow):
    slow.send_block()
    time.sleep(0.5)  # a host reports as often
    return service.get(f"/v1/jobs/{job}")["job"]["rate_bytes_per_s"] is not None


def test_a_job_of_an_aggregate_without_hosts_succeeds_and_is_announced(new_service, images):
    random_raw(images / "web.raw", 1)
    service = new_service()
    service.start({})

    job = request(service, aggregate(service), ids(service)["web"])

    assert ended(service, job) == "succeeded"
    assert notifications(service.log) == [("start", None), ("end", None)]


def test_a_job_for_an_aggregate_a_cell_and_hosts_fills_those_that_are_left_and_is_not_announced(new_service, images):
    random_raw(images / "web.raw", 1)
    service = new_service("cell1:cmp-1,cell2:cmp-2,cell2:cmp-3,cell1:cmp-4")
    service.start({})
    target = {
        "aggregates": [str(aggregate(service, "cmp-1"))],
        "cells": ["cell2"],
        "hosts": ["cmp-1", "cmp-4"],
        "exclude_hosts": ["cmp-3"],
    }
    body = {"name": "friday", "images": [{"image": "web"}], "target": target}

    job = succeed(service, "POST", "/v1/jobs", body).json()["job"]["id"]

    assert ended(service, job) == "succeeded"
    outcomes = {host: task["outcome"] for host, task in tasks(service, job).items()}
    assert outcomes == dict.fromkeys(["cmp-1", "cmp-2", "cmp-4"], "cached")
    assert data_requests(service) == 3
    assert notifications(service.log) == []
