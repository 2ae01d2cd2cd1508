"""Processes of the previous release beside those of this one, over one bus and one database, before and after upgrades.

`make test-upgrade` runs this, with a checkout of the previous release. The tests of the hosts that were upgraded first
come first: they use the controllers of the previous release.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cloud import Cloud
from tests.lab.image_gate import ImageGate, image_gate
from tests.lab.mariadb import Mariadb
from tests.lab.precache import Deployment, Surroundings
from tests.lab.rabbitmq import RabbitMq
from tests.system.conftest import COMPLAINTS
from tests.system.deployed import CONTENT, FINAL
from tests.waiting import wait_until

CHECKOUT = os.environ.get("PRECACHE_PREVIOUS_RELEASE", "")
PREVIOUS = Path(CHECKOUT) / ".venv" / "bin" / "precache"

pytestmark = [
    pytest.mark.system,
    pytest.mark.external,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHECKOUT, reason="it needs a checkout of the previous release: make test-upgrade has one"),
]

CELL = "cell1"
EARLIER = ("old-1", "old-2")
"""The hosts whose computes are of the previous release."""

LATER = "new-1"
"""The host whose compute is of this release."""

LEAD = timedelta(seconds=25)
"""A job that begins so much later is still waiting when the previous release has stopped."""

VERSION, PREVIOUS_VERSION = "1.5", "1.4"
"""Of the messages that both releases speak."""


@dataclass
class Site:
    """What runs, and an administrator in front of it."""

    precache: Deployment
    cloud: Cloud
    gate: ImageGate

    @property
    def token(self) -> str:
        return self.cloud.keystone.token(self.cloud.admin)

    def image(self) -> str:
        return self.cloud.glance.upload_image(CONTENT, visibility="public")

    def post(self, path: str, body: object = None) -> Any:
        answer = self.precache.call("POST", path, body, self.token)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def job(self, image: str, *hosts: str, more: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Send a job of one image; `options` are those of the image, `more` those of the job."""
        body = {"images": [{"image": image, **options}], "target": {"hosts": hosts}, **(more or {})}
        created: str = self.post("/v1/jobs", body)["job"]["id"]
        return created

    def act(self, job: str, action: str) -> None:
        self.post(f"/v1/jobs/{job}/{action}")

    def state(self, job: str) -> str:
        found: str = self.precache.get(f"/v1/jobs/{job}", self.token)["job"]["state"]
        return found

    def ended(self, job: str) -> str:
        wait_until(lambda: self.state(job) in FINAL)
        return self.state(job)

    def tasks(self, job: str) -> dict[str, dict[str, Any]]:
        return {task["host"]: task for task in self.precache.get(f"/v1/jobs/{job}/tasks", self.token)["tasks"]}

    def outcomes(self, job: str) -> dict[str, str | None]:
        return {host: task["outcome"] for host, task in self.tasks(job).items()}

    def downloads(self, job: str) -> None:
        """Wait until every host of the job has received something."""
        wait_until(lambda: all(task["bytes_done"] for task in self.tasks(job).values()))

    def stopped(self, *hosts: str, action: str, state: str) -> str:
        """Send a job, stop it with this action while its hosts download, and wait until it has the state."""
        job = self.job(self.image(), *hosts)
        self.downloads(job)
        self.act(job, action)
        wait_until(lambda: self.state(job) == state)
        return job

    def has(self, host: str, image: str) -> bool:
        entry = self.precache.entry(host, image)
        return entry.exists() and entry.read_bytes() == CONTENT

    def record(self, host: str, image: str) -> dict[str, Any]:
        """Return what the record of the image on the host says."""
        path = self.precache.entry(host, image).with_suffix(".precache")
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def files(self, host: str) -> set[str]:
        """Return the names of all files in the host's cache that are not for the moment."""
        return {path.name for path in (self.precache.instances(host) / "_base").iterdir() if "-kept" not in path.name}

    def result(self, operation: str, image: str, host: str) -> tuple[str, str]:
        """Do this with the image on the host; return the outcome and the reason."""
        job = self.job(image, host, more={"operation": operation})
        self.ended(job)
        task = self.tasks(job)[host]
        return task["outcome"], task["reason"]

    def relays(self, job: str) -> list[dict[str, Any]]:
        return list(self.precache.get(f"/v1/jobs/{job}/sites", self.token)["sites"])

    def pins(self, host: str, image: str) -> int:
        return len(self.record(host, image).get("pins", ()))

    def reported(self, host: str) -> set[str]:
        """Return the names of the entries that the host reports."""
        shown = self.precache.get(f"/v1/hosts/{host}/images", self.token)["images"]
        return {each["entry"] for each in shown if each["state"] == "present"}

    def reports(self, host: str, *images: str) -> bool:
        return {self.precache.entry(host, image).name for image in images} <= self.reported(host)

    def is_up(self, *hosts: str) -> bool:
        found = {each["name"]: each["state"] for each in self.precache.get("/v1/hosts", self.token)["hosts"]}
        return all(found.get(host) == "up" for host in hosts)

    def replace_compute(self, host: str, version: str, **program: Path) -> None:
        """Start the compute of the host again, of this release or with the given program.

        version: of its messages. Until its first heartbeat the conductors have the version of the one before.
        """
        self.precache.stop_one(host)
        self.precache.start_compute(host, CELL, **program)
        wait_until(lambda: self.precache.get(f"/v1/hosts/{host}", self.token)["host"]["rpc_version"] == version)
        wait_until(lambda: self.is_up(host))


@contextlib.contextmanager
def site(folder: Path, cloud: Cloud, broker: RabbitMq, database: Mariadb) -> Iterator[Site]:
    """Start everything of the previous release, and one compute of this one. No process may log a traceback."""
    broker.start()
    login = cloud.keystone.login(cloud.precache)
    with image_gate() as gate:
        gate.lead_to(cloud.glance.url)
        sections = {
            "service_user": login,
            "keystone_authtoken": login,
            "glance": {"endpoint_override": gate.url, "min_throughput": 0},
        }
        buses = {CELL: broker.fresh_url()}
        precache = Deployment(folder, Surroundings(database.fresh_url(), buses, sections))
        precache.prepare(PREVIOUS)
        here = Site(precache, cloud, gate)
        try:
            with ThreadPoolExecutor() as side_by_side:
                parts = [
                    side_by_side.submit(precache.start_api, program=PREVIOUS),
                    side_by_side.submit(precache.start_conductor, "conductor-1", program=PREVIOUS),
                    *(side_by_side.submit(precache.start_compute, host, CELL, program=PREVIOUS) for host in EARLIER),
                    side_by_side.submit(precache.start_compute, LATER, CELL),
                ]
                for part in parts:
                    part.result()
            wait_until(lambda: here.is_up(*EARLIER, LATER))
            yield here
        finally:
            precache.stop()


def complaints(here: Site) -> list[str]:
    """Return the processes that have logged an error that nothing handled."""
    return [name for name, log in here.precache.logs().items() if any(each in log for each in COMPLAINTS)]


@pytest.fixture(scope="module")
def before(
    tmp_path_factory: pytest.TempPathFactory, cloud: Cloud, rabbitmq: RabbitMq, mariadb: Mariadb
) -> Iterator[Site]:
    """Controllers of the previous release, with computes of both."""
    with site(tmp_path_factory.mktemp("upgrade"), cloud, rabbitmq, mariadb) as here:
        yield here
    assert not complaints(here)


@dataclass
class Upgraded:
    """The controllers after the upgrade. jobs: by the state in which the previous release left them."""

    here: Site
    jobs: Mapping[str, str]
    images: Mapping[str, str]


@pytest.fixture(scope="module")
def upgraded(before: Site) -> Upgraded:
    """Jobs in each state are made by the previous release; then its controllers are stopped and upgraded."""
    here, precache = before, before.precache
    images = {state: here.image() for state in ("succeeded", "paused", "waiting", "running", "queued")}
    jobs = {"succeeded": here.job(images["succeeded"], *EARLIER, LATER)}
    assert here.ended(jobs["succeeded"]) == "succeeded"
    with here.gate.shut():
        begin = (datetime.now(UTC) + LEAD).isoformat()
        jobs["waiting"] = here.job(images["waiting"], *EARLIER, LATER, more={"not_before": begin})
        jobs["paused"] = here.job(images["paused"], "old-1", LATER)
        here.downloads(jobs["paused"])
        here.act(jobs["paused"], "pause")
        wait_until(lambda: here.state(jobs["paused"]) == "paused")
        jobs["running"] = here.job(images["running"], "old-2", LATER)
        here.downloads(jobs["running"])
        precache.stop_one("conductor-1")
        jobs["queued"] = here.job(images["queued"], *EARLIER)
        states = {state: here.state(job) for state, job in jobs.items()}
        precache.stop_one("api")
        precache.upgrade_database()
        with ThreadPoolExecutor() as side_by_side:
            parts = [
                side_by_side.submit(precache.start_api),
                side_by_side.submit(precache.start_conductor, "conductor-2"),
            ]
            for part in parts:
                part.result()
    assert states | {"running": ""} == {state: state for state in jobs} | {"running": ""}
    assert states["running"] in ("running", "queued")
    wait_until(lambda: here.is_up(*EARLIER, LATER))
    return Upgraded(here, jobs, images)


@pytest.fixture
def here(upgraded: Upgraded) -> Site:
    return upgraded.here


def test_a_host_that_is_upgraded_first_works_for_conductors_of_the_previous_release(before: Site):
    image, kept = before.image(), before.image()

    job = before.job(image, *EARLIER, LATER)
    keeping = before.job(kept, *EARLIER, LATER, keep_for_s=3600)

    assert before.ended(job) == before.ended(keeping) == "succeeded"
    assert all(before.has(host, each) for host in (*EARLIER, LATER) for each in (image, kept))
    assert all(before.pins(host, kept) == 1 for host in (*EARLIER, LATER))
    with before.gate.shut():
        stopped = before.stopped(LATER, action="pause", state="paused")
        before.stopped(LATER, action="cancel", state="cancelled")
    before.act(stopped, "resume")
    assert before.ended(stopped) == "succeeded"
    assert before.is_up(LATER)
    assert "ERROR" not in before.precache.log(LATER)
    assert "ERROR" not in before.precache.log("conductor-1")


def test_jobs_of_the_previous_release_continue_after_the_upgrade(upgraded: Upgraded):
    here, jobs, images = upgraded.here, upgraded.jobs, upgraded.images

    states = {each: here.state(jobs[each]) for each in ("succeeded", "paused")}
    here.act(jobs["paused"], "resume")

    assert states == {"succeeded": "succeeded", "paused": "paused"}
    assert {state: here.ended(job) for state, job in jobs.items()} == dict.fromkeys(jobs, "succeeded")
    for state, job in jobs.items():
        assert all(here.has(host, images[state]) for host in here.tasks(job)), state
    listed = here.precache.get("/v1/jobs", here.token)["jobs"]
    assert {job["id"]: job["operation"] for job in listed if job["id"] in jobs.values()} == dict.fromkeys(
        jobs.values(), "cache"
    )


def test_hosts_of_the_previous_release_cache_as_before(here: Site):
    image = here.image()
    order = {"images": [{"image": image}], "target": {"hosts": [*EARLIER, LATER]}}
    plan = here.post("/v1/jobs?dry_run=true", order)["plan"]
    first = here.job(image, *EARLIER, LATER, more={"canary": {"hosts": 1}})
    assert here.ended(first) == "succeeded"
    after = here.post("/v1/jobs?dry_run=true", order)["plan"]

    assert (plan["bytes_to_move"], plan["hosts"]["incomplete"]) == (3 * len(CONTENT), 3)
    assert (after["bytes_to_move"], after["hosts"]["ready"]) == (0, 3)
    with here.gate.shut():
        stopped = here.stopped(*EARLIER, action="pause", state="paused")
        here.stopped(*EARLIER, action="cancel", state="cancelled")
    here.act(stopped, "resume")
    assert here.ended(stopped) == "succeeded"
    assert here.outcomes(stopped) == dict.fromkeys(EARLIER, "cached")


def test_in_a_job_by_swarm_hosts_of_the_previous_release_use_the_image_service(here: Site):
    image, base = here.image(), here.image()
    assert here.ended(here.job(base, *EARLIER, LATER)) == "succeeded"
    order = {"images": [{"image": image, "base": base}], "target": {"hosts": [*EARLIER, LATER]}, "transfer": "swarm"}

    plan = here.post("/v1/jobs?dry_run=true", order)["plan"]
    job = here.job(image, *EARLIER, LATER, base=base, more={"transfer": "swarm"})

    assert here.ended(job) == "succeeded"
    assert [group["transfer"] for group in plan["groups"]] == ["swarm"]
    assert plan["image_service_bytes"] == 3 * len(CONTENT)
    assert all(here.has(host, image) for host in (*EARLIER, LATER))
    (relay,) = here.relays(job)
    assert (relay["host_count"], relay["seeders"]) == (1, [LATER])
    assert {host for host, task in here.tasks(job).items() if task["bytes_from"]} == {LATER}


def test_a_compute_takes_a_cache_of_the_previous_release_over_and_gives_it_back(here: Site):
    host = "old-2"
    plain, kept, unfinished, passed_on = images = [here.image() for _ in range(4)]
    assert here.ended(here.job(plain, host)) == here.ended(here.job(kept, host, keep_for_s=3600)) == "succeeded"
    with here.gate.shut():
        paused = here.job(unfinished, host)
        here.downloads(paused)
        here.act(paused, "pause")
        wait_until(lambda: here.state(paused) == "paused")
    old_files = here.files(host)

    here.replace_compute(host, VERSION)
    wait_until(lambda: here.reports(host, plain, kept))
    here.act(paused, "resume")

    assert old_files <= here.files(host)
    assert here.ended(paused) == "succeeded"
    assert here.gate.sent[unfinished] == len(CONTENT)  # it continues where the previous release was paused
    assert here.result("verify", plain, host)[0] == "intact"
    # Now there are two that pass images on, beside one that cannot.
    by_swarm = here.job(passed_on, "old-1", host, LATER, keep_for_s=3600, more={"transfer": "swarm"})
    assert here.ended(by_swarm) == "succeeded"
    assert here.gate.sent[passed_on] == 2 * len(CONTENT)
    assert {task["parent"] for task in here.tasks(by_swarm).values()} & {host, LATER}
    new_files = here.files(host)

    here.replace_compute(host, PREVIOUS_VERSION, program=PREVIOUS)

    assert here.ended(here.job(plain, host)) == here.ended(here.job(passed_on, host, keep_for_s=7200)) == "succeeded"
    assert new_files <= here.files(host)
    assert all(here.has(host, image) for image in images)
    assert here.result("verify", passed_on, host)[0] == "intact"
    assert "cannot be used" not in here.precache.log(host)

    here.replace_compute(host, VERSION)

    assert all(here.has(host, image) for image in images)
    assert here.pins(host, passed_on) == 2
    assert here.result("verify", passed_on, host)[0] == "intact"


def test_a_conductor_that_was_not_stopped_runs_jobs_by_swarm_as_direct_ones(
    tmp_path: Path, cloud: Cloud, rabbitmq: RabbitMq, mariadb: Mariadb
):
    with site(tmp_path, cloud, rabbitmq, mariadb) as here:
        precache = here.precache
        precache.stop_one("api")
        precache.upgrade_database()
        precache.start_api()
        image, other = here.image(), here.image()

        by_swarm = here.job(image, *EARLIER, LATER, more={"transfer": "swarm"})
        assert here.ended(by_swarm) == "succeeded"
        precache.start_conductor("conductor-2")
        mixed = [here.job(other, host, more={"transfer": "swarm"}) for host in (*EARLIER, LATER)]

        assert [here.ended(job) for job in mixed] == ["succeeded"] * 3
        assert all(here.has(host, each) for host in (*EARLIER, LATER) for each in (image, other))
        assert here.gate.sent[image] == 3 * len(CONTENT)
        assert here.relays(by_swarm) == []
