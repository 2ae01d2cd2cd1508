"""An operator's actions on a running service, and its observable state: over HTTP, on the disks, in the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.waiting import PATIENCE_S, wait_until
from tools.local_service import LocalService

AGGREGATES = "/compute/v2.1/os-aggregates"
NEWEST = {"OpenStack-API-Version": "compute 2.81"}
NOTIFICATIONS = " precache.notifications "


def call(
    service: LocalService, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> requests.Response:
    """Send one request, whatever becomes of it."""
    return requests.request(method, service.url + path, json=body, headers=headers, timeout=PATIENCE_S)


def succeed(service: LocalService, method: str, path: str, body: object = None) -> requests.Response:
    """Send one request that must be answered with success."""
    answer = call(service, method, path, body, NEWEST)
    assert answer.ok, answer.text
    return answer


def aggregate(service: LocalService, *hosts: str, name: str = "agg") -> int:
    """Create an aggregate of these hosts and return its id."""
    created = succeed(service, "POST", AGGREGATES, {"aggregate": {"name": name, "availability_zone": None}})
    number: int = created.json()["aggregate"]["id"]
    for host in hosts:
        succeed(service, "POST", f"{AGGREGATES}/{number}/action", {"add_host": {"host": host}})
    return number


def request(service: LocalService, number: int, *images: str) -> str:
    """Send the request that all of this is for, and return the job's id."""
    body = {"cache": [{"id": image} for image in images]}
    answer = succeed(service, "POST", f"{AGGREGATES}/{number}/images", body)
    assert answer.status_code == 202
    return answer.headers["X-Precache-Job-Id"]


def ended(service: LocalService, job: str) -> str:
    """Wait until the job has ended, and return the state in which it did."""
    wait_until(lambda: state(service, job) not in ("queued", "running"))
    return state(service, job)


def state(service: LocalService, job: str) -> str:
    return str(service.get(f"/v1/jobs/{job}")["job"]["state"])


def tasks(service: LocalService, job: str) -> dict[str, dict[str, Any]]:
    """Return the tasks of a job with one image, by host."""
    return {task["host"]: task for task in service.get(f"/v1/jobs/{job}/tasks")["tasks"]}


def oldest_report_s(found: Iterable[Mapping[str, Any]]) -> float:
    """Return the age of the oldest report among the running tasks that have one."""
    now = datetime.now(UTC)
    reported = [datetime.fromisoformat(task["reported_at"]) for task in found if task["reported_at"]]
    assert reported
    return max((now - at).total_seconds() for at in reported)


def outcomes(service: LocalService, job: str) -> dict[tuple[str, str], str]:
    found = service.get(f"/v1/jobs/{job}/tasks")["tasks"]
    return {(task["host"], task["image"]): task["outcome"] for task in found}


def ids(service: LocalService) -> dict[str, str]:
    """Return the ids of the images by name."""
    return {image["name"]: image["id"] for image in service.get("/image/v2/images")["images"]}


def data_requests(service: LocalService) -> int:
    return sum(service.get("/image/requests")["data_requests"].values())


def cache_of(service: LocalService, host: str) -> Path:
    return service.state / "hosts" / host / "instances" / "_base"


def entry(service: LocalService, host: str, image: str) -> Path:
    return cache_of(service, host) / hashlib.sha1(image.encode()).hexdigest()


def litter(service: LocalService) -> list[str]:
    """Return what transfers have left, or still need, in the caches of all hosts."""
    return [str(file) for file in service.state.glob("hosts/*/instances/_base/?*.precache-*")]


def notifications(log: str) -> list[tuple[str, str | None]]:
    """Return Nova's notifications in a log in their order: the event, and the host if it is about one."""
    lines = [line.partition(NOTIFICATIONS)[2] for line in log.splitlines() if NOTIFICATIONS in line]
    bodies = [json.loads(line[line.index("{") :]) for line in lines]  # the ids of request and job may stand before it
    return [
        (body["event_type"].rpartition(".")[2], host_of(body["payload"]))
        for body in bodies
        if body["event_type"].startswith("aggregate.")
    ]


def host_of(payload: dict[str, Any]) -> str | None:
    host: str | None = payload["nova_object.data"].get("host")
    return host
