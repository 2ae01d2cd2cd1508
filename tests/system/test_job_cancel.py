"""A job is cancelled in mid-download: what its operator, its hosts' caches and the image service see of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.jobs_sql import SqlJobSteering
from precache.adapters.sql import open_database
from tests.lab.slow_images import SlowImages, slow_images
from tests.system.conftest import random_raw
from tests.system.operating import (
    aggregate,
    call,
    ended,
    ids,
    litter,
    notifications,
    request,
    state,
    succeed,
    tasks,
    wait_until,
)
from tests.system.test_restart import stored_states
from tools.local_service import LocalService

pytestmark = pytest.mark.system

HOSTS = ("cmp-1", "cmp-2", "cmp-3")
CANCELLED = 6
"""The exit code of a command that waited for a job which was cancelled."""

IN_TIME = timedelta(seconds=2)


@pytest.fixture
def service(new_service: Callable[..., LocalService]) -> LocalService:
    """Return a service, not started, that asks one host at a time."""
    return new_service("cell1:cmp-1,cell2:cmp-2,cell1:cmp-3")


@contextmanager
def stalling(images: Path, tmp_path: Path) -> Iterator[SlowImages]:
    """Serve an image whose downloads stall."""
    random_raw(images / "web.raw", 8)
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        yield slow


def begin(service: LocalService, slow: SlowImages) -> str:
    """Start a job on all hosts and wait until the download of the first one has stalled."""
    start(service, slow)
    job = request(service, aggregate(service, *HOSTS), ids(service)["web"])
    wait_until(lambda: tasks(service, job)["cmp-1"]["bytes_done"])
    return job


def start(service: LocalService, slow: SlowImages) -> None:
    service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_GLANCE__NUM_RETRIES": "0"})


def cached(service: LocalService) -> list[str]:
    """Return every file in the caches of all hosts, but for those of the directory."""
    found = service.state.glob("hosts/*/instances/_base/*")
    return [str(file) for file in found if not file.name.startswith(".precache-")]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def standings(service: LocalService, job: str) -> dict[str, tuple[str, int, str]]:
    """Return outcome, attempts and reason by host."""
    return {host: (task["outcome"], task["attempts"], task["reason"]) for host, task in tasks(service, job).items()}


def test_a_transfer_stops_and_leaves_nothing(service, images, tmp_path):
    with stalling(images, tmp_path) as slow:
        job = begin(service, slow)

        (shown,) = service.run("job", "cancel", job, "--wait")

        assert (shown["state"], shown["counts"]) == ("cancelled", {"cancelled": 3})
        assert cached(service) == []
        assert standings(service, job) == {
            "cmp-1": ("cancelled", 1, ""), "cmp-2": ("cancelled", 0, ""), "cmp-3": ("cancelled", 0, ""),
        }  # fmt: skip
        stopped = tasks(service, job)["cmp-1"]
        assert stopped["bytes_done"] > 0
        assert instant(stopped["finished_at"]) - instant(shown["cancel_requested_at"]) < IN_TIME
        assert slow.data_requests == 1
        wait_until(lambda: slow.send_block() or slow.broken_off)
        assert notifications(service.log)[-1] == ("end", None)


def test_a_second_request_and_a_late_look_get_the_same_answer(service, images, tmp_path):
    with stalling(images, tmp_path) as slow:
        job = begin(service, slow)
        succeed(service, "POST", f"/v1/jobs/{job}/cancel")
        assert ended(service, job) == "cancelled"

        again = [succeed(service, "POST", f"/v1/jobs/{job}/cancel") for _ in range(2)]

        shown = service.get(f"/v1/jobs/{job}")
        assert [answer.json() for answer in again] == [shown] * 2
        assert service.run("job", "cancel", job, "--wait")[0]["state"] == "cancelled"
        assert service.run("job", "show", job, "--wait", accepts=[CANCELLED])["state"] == "cancelled"


def test_a_job_that_has_succeeded_is_not_cancelled_any_more(service, images):
    random_raw(images / "web.raw", 1)
    service.start({})
    job = request(service, aggregate(service, "cmp-1"), ids(service)["web"])
    assert ended(service, job) == "succeeded"

    answer = call(service, "POST", f"/v1/jobs/{job}/cancel")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "precache.job.ended")
    assert state(service, job) == "succeeded"


def test_another_job_for_the_same_image_continues(service, images, tmp_path):
    with stalling(images, tmp_path) as slow:
        job = begin(service, slow)
        other = request(service, aggregate(service, "cmp-1", name="other"), ids(service)["web"])

        service.run("job", "cancel", job, "--wait")
        slow.release()

        assert ended(service, other) == "succeeded"
        assert tasks(service, other)["cmp-1"]["outcome"] == "cached"
        assert state(service, job) == "cancelled"
        assert litter(service) == []


def test_after_a_kill_between_the_request_and_the_end_the_job_ends_cancelled(service, images, tmp_path):
    with stalling(images, tmp_path) as slow:
        job = begin(service, slow)
        service.kill()
        # By the API's own code, as if the kill had come right after its commit; over HTTP the conductor may be faster.
        database = open_database(f"sqlite:///{service.state / 'precache.sqlite'}")
        requested = SqlJobSteering(database=database).cancel(job)
        database.close()
        assert stored_states(service) == ["running"]
        assert requested.cancel_requested_at is not None

        start(service, slow)

        assert ended(service, job) == "cancelled"
        assert {outcome for outcome, _, _ in standings(service, job).values()} == {"cancelled"}
        assert slow.data_requests == 1
        assert instant(service.get(f"/v1/jobs/{job}")["job"]["cancel_requested_at"]) == requested.cancel_requested_at
        wait_until(lambda: cached(service) == [])
        assert service.run("job", "cancel", job, "--wait")[0]["state"] == "cancelled"
