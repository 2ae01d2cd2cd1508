"""One job through all processes of a deployment: API, conductors, computes, with every server that they need."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cloud import Cloud
from tests.lab.rabbitmq import RabbitMq
from tests.system.deployment import Deployment, Surroundings
from tests.system.operating import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external]

AGGREGATES = "/compute/v2.1/os-aggregates"
FINAL = ("succeeded", "partly_failed", "failed", "cancelled")


@pytest.fixture
def deployment(tmp_path: Path, rabbitmq: RabbitMq, mariadb_url: str, cloud: Cloud) -> Iterator[Deployment]:
    """A deployment of two cells, prepared, nothing started."""
    rabbitmq.start()
    login = cloud.keystone.login(cloud.precache)
    around = Surroundings(
        database_url=mariadb_url,
        buses={"cell1": rabbitmq.fresh_url(), "cell2": rabbitmq.fresh_url()},
        sections={"service_user": login, "keystone_authtoken": login},
    )
    made = Deployment(tmp_path / "precache", around)
    made.prepare()
    yield made
    made.stop()


def test_one_request_fills_the_caches_of_two_cells(deployment: Deployment, cloud: Cloud):
    content = os.urandom(3 * 1024**2)
    image = cloud.glance.upload_image(content, visibility="public")
    deployment.start_api()
    deployment.start_conductor("conductor-1")
    deployment.start_conductor("conductor-2")
    for host, cell in (("cmp-1", "cell1"), ("cmp-2", "cell1"), ("cmp-3", "cell2"), ("cmp-4", "cell2")):
        deployment.start_compute(host, cell)
    token = cloud.keystone.token(cloud.admin)

    wait_until(lambda: len(deployment.get("/v1/hosts", token)["hosts"]) == 4)
    made = deployment.call("POST", AGGREGATES, {"aggregate": {"name": "agg", "availability_zone": None}}, token)
    number = made.json()["aggregate"]["id"]
    for host in ("cmp-1", "cmp-2", "cmp-3", "cmp-4"):
        deployment.call("POST", f"{AGGREGATES}/{number}/action", {"add_host": {"host": host}}, token)
    answer = deployment.call("POST", f"{AGGREGATES}/{number}/images", {"cache": [{"id": image}]}, token)
    assert answer.status_code == 202, answer.text
    job = answer.headers["X-Precache-Job-Id"]
    wait_until(lambda: deployment.get(f"/v1/jobs/{job}", token)["job"]["state"] in FINAL)

    tasks = deployment.get(f"/v1/jobs/{job}/tasks", token)["tasks"]
    assert {(task["host"], task["cell"], task["outcome"]) for task in tasks} == {
        ("cmp-1", "cell1", "cached"), ("cmp-2", "cell1", "cached"),
        ("cmp-3", "cell2", "cached"), ("cmp-4", "cell2", "cached"),
    }  # fmt: skip
    for host in ("cmp-1", "cmp-2", "cmp-3", "cmp-4"):
        assert hashlib.sha256(deployment.entry(host, image).read_bytes()).digest() == hashlib.sha256(content).digest()
    assert cloud.glance.data_requests(image) == 4
