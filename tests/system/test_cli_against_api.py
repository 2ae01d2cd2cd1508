"""The command line against the real API over a socket: what one sends, the other understands.

The conductor is played by the test, which ends the tasks by hand; stores and images are in memory. Images are
listed by the stub service, for the API itself has none.
"""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cheroot import wsgi

from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.clock_system import SystemClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.images_memory import MemoryImages
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.relays_memory import MemoryRelays
from precache.api.app import create_app
from precache.api.events.feed import JobFeed
from precache.api.handlers.views import JobViews
from precache.api.identity import noauth
from precache.api.schemas.document import load_document
from precache.background.daemon_pool import DaemonPool
from precache.cli.app import PrecacheApp
from precache.conductor.clean_host import CleanHost
from precache.conductor.survey_hosts import SurveyHosts
from precache.core.host_survey import Survey
from precache.core.hosts import Heartbeat
from precache.core.images import Image, parse_image_id
from precache.core.jobs import HostAsked, HostEnded, JobState, Outcome, TaskResult
from tests.unit.cli.stub_service import DEBIAN, Serving, StubService

pytestmark = pytest.mark.system

IMAGE = parse_image_id(DEBIAN)
A_MINUTE = timedelta(minutes=1)


class AllowAll:
    def allows(self, caller: object, rule: str) -> bool:
        return True


class PlayedConductor:
    """Ends every task of the oldest job as told, when it is woken and a job may run."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs = jobs
        self.outcomes: dict[str, tuple[Outcome, str]] = {}

    def wake(self) -> None:
        now = SystemClock().now()
        job = self._jobs.claim("test", A_MINUTE)
        if job is None:
            return
        for task in self._jobs.list_tasks(job.id):
            outcome, reason = self.outcomes[task.host]
            result = TaskResult(image=IMAGE, outcome=outcome, bytes_moved=7, reason=reason)
            steps = [HostAsked(task.host, "cell1", (IMAGE,), now), HostEnded(task.host, (result,), now)]
            self._jobs.record(job.claim, steps)
        successes = [outcome.is_success for outcome, _ in self.outcomes.values()]
        state = JobState.SUCCEEDED if all(successes) else JobState.PARTLY_FAILED
        self._jobs.finish(job.claim, state)


@dataclass
class Deployment:
    url: str
    image_url: str
    inventory: MemoryInventory
    conductor: PlayedConductor

    def run(self, *argv: str) -> tuple[int, Any, str]:
        """Run one command line; give exit code, its JSON, and what it said."""
        out, err = io.StringIO(), io.StringIO()
        environ = {"PRECACHE_URL": self.url, "PRECACHE_IMAGE_URL": self.image_url}
        code = PrecacheApp(environ=environ, stdout=out, stderr=err).run([*argv])
        return code, json.loads(out.getvalue()) if out.getvalue() else None, err.getvalue()


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    inventory, jobs, clock = MemoryInventory(), MemoryJobs(), SystemClock()
    conductor = PlayedConductor(jobs)
    record = Image(IMAGE, "debian-12", "active", "qcow2", 7)
    feed = JobFeed(store=jobs, views=JobViews(load_document()))
    app = create_app(
        aggregates=inventory,
        aggregate_changes=inventory,
        hosts=inventory,
        host_changes=inventory,
        host_removal=inventory,
        intake=jobs,
        queries=jobs,
        steering=jobs,
        feed=feed,
        store=jobs,
        survey=SurveyHosts(
            hosts=inventory,
            caches=InProcessComputes(),
            pool=DaemonPool(2),
            service_down_time=A_MINUTE,
            requirement=None,
            listening_for_s=lambda _cell: math.inf,
            limits=Survey({}, 50),
        ),
        cleaning=CleanHost(
            hosts=inventory,
            caches=InProcessComputes(),
            service_down_time=A_MINUTE,
            requirement=None,
            listening_for_s=lambda _cell: math.inf,
        ),
        caches=MemoryCacheInventory(find_host=lambda name: inventory.find_hosts([name]).get(name)),
        rates=jobs,
        relays=MemoryRelays(clock=clock, jobs=jobs),
        images=MemoryImages(images={IMAGE: (record, b"content")}),
        policy=AllowAll(),
        clock=clock,
        wake=conductor.wake,
        auth_strategy="noauth",
        service_down_time=A_MINUTE,
    )
    for host in ("cmp-1", "cmp-2"):
        inventory.store_heartbeats([Heartbeat(host, "cell1", "fake", clock.now())])
    server = wsgi.Server(("127.0.0.1", 0), noauth(app), numthreads=2, shutdown_timeout=1)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    stub = StubService()
    with Serving(stub):
        yield Deployment(f"http://127.0.0.1:{server.bind_addr[1]}", f"{stub.url}/image", inventory, conductor)
    feed.stop()
    server.stop()
    thread.join()


def test_an_aggregate_lives_its_life(deployment: Deployment) -> None:
    run = deployment.run

    _, created, _ = run("aggregate", "create", "web", "--zone", "az1", "--property", "rack=7", "-f", "json")
    run("aggregate", "add", "host", "web", "cmp-1")
    _, changed, _ = run("aggregate", "set", str(created["id"]), "--name", "w2", "--unset", "rack", "-f", "json")
    _, listed, _ = run("aggregate", "list", "-f", "json")
    refused = run("aggregate", "delete", "w2")
    run("aggregate", "remove", "host", created["uuid"], "cmp-1")
    deleted = run("aggregate", "delete", "w2")

    assert created["metadata"] == {"availability_zone": "az1", "rack": "7"}
    assert (changed["name"], changed["hosts"]) == ("w2", ["cmp-1"])
    assert [(one["name"], one["hosts"]) for one in listed] == [("w2", ["cmp-1"])]
    assert refused[0] == 1
    assert "not empty" in refused[2]
    assert deleted == (0, None, "")


def test_a_job_is_waited_for_shown_and_listed(deployment: Deployment) -> None:
    run = deployment.run
    deployment.conductor.outcomes = {"cmp-1": (Outcome.CACHED, ""), "cmp-2": (Outcome.ERROR, "disk full")}
    run("aggregate", "create", "web", "-f", "json")
    for host in ("cmp-1", "cmp-2"):
        run("aggregate", "add", "host", "web", host)

    code, job, said = run("aggregate", "cache", "image", "web", "debian-12", "--wait", "--all", "-f", "json")
    _, shown, _ = run("job", "show", job["id"], "-f", "json")
    _, listed, _ = run(
        "job", "list", "--state", "failed", "--state", "partly_failed", "--host", "cmp-1", "--image", IMAGE,
        "--aggregate", "web", "--since", "1h", "--changed-since", "1h", "--sort", "finished_at:desc", "-f", "json",
    )  # fmt: skip
    _, others, _ = run("job", "list", "--host", "cmp-3", "-f", "json")
    outcomes = ("--outcome", "error", "--outcome", "skipped", "--with-reason")
    _, tasks, _ = run("job", "task", "list", job["id"], *outcomes, "-f", "json")
    _, hosts, _ = run("job", "host", "list", job["id"], "--state", "ended", "-f", "json")

    assert (code, job["state"], job["counts"]) == (4, "partly_failed", {"cached": 1, "error": 1})
    assert "cmp-2: debian-12: error: disk full" in said
    assert shown == job
    assert [one["id"] for one in listed] == [job["id"]]
    assert others == []
    assert [(one["host"], one["reason"]) for one in tasks] == [("cmp-2", "disk full")]
    assert [(one["host"], one["counts"]) for one in hosts] == [("cmp-1", {"cached": 1}), ("cmp-2", {"error": 1})]


def test_a_job_is_created_for_a_cell_without_a_host(deployment: Deployment) -> None:
    run = deployment.run
    deployment.conductor.outcomes = {"cmp-1": (Outcome.CACHED, "")}
    words = ("job", "create", "--name", "friday", "--image", "debian-12", "--cell", "cell1", "--exclude-host", "cmp-2")

    code, job, said = run(*words, "--wait", "--all", "-f", "json")
    refused = run("job", "create", "--image", "debian-12", "--host", "cmp-8", "--host", "nothing")
    without = run("job", "create", "--image", "debian-12")

    assert (code, job["state"], job["name"]) == (0, "succeeded", "friday")
    assert job["target"] == {"aggregates": [], "cells": ["cell1"], "hosts": [], "exclude_hosts": ["cmp-2"]}
    assert [(one["host"], one["image_name"]) for one in job["tasks"]] == [("cmp-1", "debian-12")]
    assert "cmp-1" in said
    assert refused == (1, None, "precache: Compute hosts cmp-8, nothing could not be found.\n")
    assert without[0] == 1
    assert "give at least one of aggregates, cells and hosts" in without[2]


def test_a_job_waits_is_paused_changed_and_retried(deployment: Deployment) -> None:
    run = deployment.run
    deployment.conductor.outcomes = {"cmp-1": (Outcome.CACHED, ""), "cmp-2": (Outcome.ERROR, "disk full")}
    opening = datetime.now(UTC) + timedelta(hours=2)
    window = f"{opening:%H:%M}-{opening + timedelta(hours=1):%H:%M}"

    _, job, _ = run("job", "create", "--image", "debian-12", "--cell", "cell1", "--window", window, "-f", "json")
    steered = [run("job", action, job["id"], "-f", "json")[1][0]["state"] for action in ("pause", "pause", "resume")]
    early = run("job", "retry", job["id"])
    _, changed, _ = run("job", "set", job["id"], "--window", "none", "--parallelism", "3", "-f", "json")
    _, failed, _ = run("job", "show", job["id"], "-f", "json")
    deployment.conductor.outcomes["cmp-2"] = (Outcome.CACHED, "")
    _, retried, _ = run("job", "retry", job["id"], "-f", "json")
    _, ended, _ = run("job", "show", job["id"], "-f", "json")
    late = run("job", "set", job["id"], "--priority", "9")

    assert (job["state"], job["window"]["time_zone"]) == ("waiting", "UTC")
    assert steered == ["paused", "paused", "waiting"]
    assert early[0] == 1
    assert "is waiting; it can be retried when it has ended" in early[2]
    assert (changed["state"], changed["window"], changed["parallelism"]) == ("queued", None, 3)
    assert (failed["state"], failed["counts"]) == ("partly_failed", {"cached": 1, "error": 1})
    assert (retried[0]["state"], retried[0]["retry_count"]) == ("queued", 1)
    assert (ended["state"], ended["counts"]) == ("succeeded", {"cached": 2})
    assert {task["host"]: task["attempts"] for task in ended["tasks"]} == {"cmp-1": 1, "cmp-2": 2}
    assert late == (1, None, f"precache: Job {job['id']} has ended as succeeded: nothing of it is left to change.\n")


def test_a_repeated_request_shows_the_job_that_it_made(deployment: Deployment) -> None:
    run = deployment.run
    deployment.conductor.outcomes = {"cmp-1": (Outcome.CACHED, "")}
    words = ("job", "create", "--host", "cmp-1", "--idempotency-key", "rollout-1", "-f", "json", "--image")

    _, first, _ = run(*words, "debian-12")
    code, again, _ = run(*words, "debian-12", "--wait", "--all")
    other = run(*words, DEBIAN)

    assert (code, again["id"], again["state"]) == (0, first["id"], "succeeded")
    assert other[0] == 1
    assert f"The Idempotency-Key belongs to job {first['id']}" in other[2]
    assert len(run("job", "list", "-f", "json")[1]) == 1


def test_a_refusal_is_shown_with_the_message_of_the_api(deployment: Deployment) -> None:
    run = deployment.run
    run("aggregate", "create", "web", "-f", "json")

    twice = run("aggregate", "cache", "image", "web", "debian-12", DEBIAN)
    unknown = run("job", "show", "00000000-0000-0000-0000-000000000000", "--wait")
    taken = run("aggregate", "create", "web")

    assert twice == (1, None, "precache: Duplicate images in request\n")
    assert (unknown[0], "could not be found" in unknown[2]) == (1, True)
    assert (taken[0], "already exists" in taken[2]) == (1, True)


def test_a_host_is_forced_down(deployment: Deployment) -> None:
    code, host, _ = deployment.run("host", "set", "cmp-2", "--down", "-f", "json")
    _, hosts, _ = deployment.run("host", "list", "-f", "json")

    assert (code, host["forced_down"], host["state"]) == (0, True, "down")
    assert [(one["name"], one["state"]) for one in hosts] == [("cmp-1", "up"), ("cmp-2", "down")]


def test_a_silent_host_is_deleted_and_one_with_heartbeats_is_not(deployment: Deployment) -> None:
    deployment.inventory.store_heartbeats([Heartbeat("cmp-2", "cell1", "fake", SystemClock().now() - 2 * A_MINUTE)])

    code, _, said = deployment.run("host", "delete", "cmp-1", "cmp-2")
    _, hosts, _ = deployment.run("host", "list", "-f", "json")

    assert code == 1
    assert said.startswith("precache: Compute host cmp-1 is alive: its last heartbeat was at ")
    assert [one["name"] for one in hosts] == ["cmp-1"]
