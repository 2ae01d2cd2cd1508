"""A whole deployment for all tests of a module: two cells, an API, two conductors, four computes, and every server."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.cloud import Cloud
from tests.lab.database_server import DatabaseServer
from tests.lab.image_gate import ImageGate, image_gate
from tests.lab.precache import Deployment, Surroundings
from tests.lab.rabbitmq import RabbitMq
from tests.waiting import wait_until

AGGREGATES = "/compute/v2.1/os-aggregates"
CELLS = {"cmp-1": "cell1", "cmp-2": "cell1", "cmp-3": "cell2", "cmp-4": "cell2"}
CONDUCTORS = ("conductor-1", "conductor-2")
FINAL = ("succeeded", "partly_failed", "failed", "cancelled", "expired")
JOB_TIMEOUT_S = 60

CONTENT = os.urandom(2 * 1024**2)
"""Of the image that tests request."""


@dataclass
class Deployed:
    """What runs, and an administrator in front of it."""

    precache: Deployment
    cloud: Cloud
    broker: RabbitMq
    database: DatabaseServer
    gate: ImageGate
    notifications_url: str

    @property
    def token(self) -> str:
        return self.cloud.keystone.token(self.cloud.admin)

    def aggregate(self, *hosts: str) -> int:
        """Make an aggregate of these hosts and return its id."""
        token, name = self.token, f"agg-{uuid.uuid4().hex[:8]}"
        body = {"aggregate": {"name": name, "availability_zone": None}}
        answer = self.precache.call("POST", AGGREGATES, body, token)
        assert answer.ok, answer.text
        number: int = answer.json()["aggregate"]["id"]
        for host in hosts:
            added = self.precache.call("POST", f"{AGGREGATES}/{number}/action", {"add_host": {"host": host}}, token)
            assert added.ok, added.text
        return number

    def request(self, aggregate: int, *images: str) -> str:
        """Send the request that all of this is for, and return the job's id."""
        body = {"cache": [{"id": image} for image in images]}
        answer = self.precache.call("POST", f"{AGGREGATES}/{aggregate}/images", body, self.token)
        assert answer.status_code == 202, answer.text
        return answer.headers["X-Precache-Job-Id"]

    def tasks(self, job: str) -> dict[str, dict[str, Any]]:
        """Return the tasks of a job with one image, by host."""
        return {task["host"]: task for task in self.precache.get(f"/v1/jobs/{job}/tasks", self.token)["tasks"]}

    def outcomes(self, job: str) -> dict[str, str | None]:
        return {host: task["outcome"] for host, task in self.tasks(job).items()}

    def hosts_that_are_up(self) -> set[str]:
        hosts = self.precache.get("/v1/hosts", self.token)["hosts"]
        return {host["name"] for host in hosts if host["state"] == "up"}

    def ended(self, job: str) -> str:
        """Wait until the job has ended, and return the state in which it did."""
        token = self.token

        def state() -> str:
            return str(self.precache.get(f"/v1/jobs/{job}", token)["job"]["state"])

        wait_until(lambda: state() in FINAL, JOB_TIMEOUT_S)
        return state()

    def conductor_of(self, job: str) -> str:
        """Return the conductor that took the job up last."""
        [name] = [name for name in CONDUCTORS if f"(job {job})" in self.precache.log(name)]
        return name

    def holds(self, host: str, image: str, content: bytes) -> bool:
        """Return whether the host's cache has the whole image, and not anything else under its name."""
        entry = self.precache.entry(host, image)
        return entry.exists() and entry.read_bytes() == content


@contextlib.contextmanager
def deployed(folder: Path, cloud: Cloud, broker: RabbitMq, database: DatabaseServer) -> Iterator[Deployed]:
    """Start it all, and wait until every host has been heard of."""
    broker.start()
    login = cloud.keystone.login(cloud.precache)
    with image_gate() as gate:
        gate.lead_to(cloud.glance.url)
        notifications = broker.fresh_url()
        around = Surroundings(
            database_url=database.fresh_url(),
            buses={"cell1": broker.fresh_url(), "cell2": broker.fresh_url()},
            sections={
                "service_user": login,
                "keystone_authtoken": login,
                "glance": {"endpoint_override": gate.url},
                "notifications": {"transport_urls": notifications},
            },
        )
        precache = Deployment(folder, around)
        precache.prepare()
        try:
            _start(precache)
            token = cloud.keystone.token(cloud.admin)
            wait_until(lambda: len(precache.get("/v1/hosts", token)["hosts"]) == len(CELLS))
            yield Deployed(precache, cloud, broker, database, gate, notifications)
        finally:
            precache.stop()


def _start(precache: Deployment) -> None:
    with ThreadPoolExecutor() as side_by_side:
        parts = [
            side_by_side.submit(precache.start_api),
            *(side_by_side.submit(precache.start_conductor, name) for name in CONDUCTORS),
            *(side_by_side.submit(precache.start_compute, host, cell) for host, cell in CELLS.items()),
        ]
        for part in parts:
            part.result()
