"""The course of a job on a real service: it is paused and resumed, waits for its window, expires, and has canaries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.slow_images import SlowImages, slow_images
from tests.system.conftest import MIB, qcow2, random_raw
from tests.system.operating import call, data_requests, ids, litter, state, succeed, tasks, wait_until
from tools.local_service import LocalService

pytestmark = pytest.mark.system

HOSTS = ["cmp-1", "cmp-2", "cmp-3"]


@pytest.fixture
def service(new_service: Callable[..., LocalService]) -> LocalService:
    """Return a service, not started, that asks one host at a time."""
    return new_service("cell1:cmp-1,cell2:cmp-2,cell1:cmp-3")


def create(service: LocalService, **options: object) -> str:
    """Create a job for the image web on all hosts, and return its id."""
    body = {"images": [{"image": "web"}], "target": {"hosts": HOSTS}, **options}
    job: str = succeed(service, "POST", "/v1/jobs", body).json()["job"]["id"]
    return job


def shown(service: LocalService, job: str) -> dict[str, object]:
    found: dict[str, object] = service.get(f"/v1/jobs/{job}")["job"]
    return found


def reaches(service: LocalService, job: str, wanted: str) -> dict[str, object]:
    wait_until(lambda: state(service, job) == wanted)
    return shown(service, job)


def start(service: LocalService, slow: SlowImages) -> None:
    service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_GLANCE__NUM_RETRIES": "0"})


@pytest.mark.parametrize(("make", "decoded_by"), [(random_raw, ""), (qcow2, "stream")])
def test_a_paused_job_stays_paused_over_a_kill_and_is_completed_when_it_is_resumed(
    service, images, tmp_path, make, decoded_by
):
    size = make(images / f"web.{'qcow2' if decoded_by else 'raw'}", 8).stat().st_size
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        start(service, slow)
        job = create(service)
        wait_until(lambda: (tasks(service, job)["cmp-1"]["bytes_done"] or 0) >= MIB)

        succeed(service, "POST", f"/v1/jobs/{job}/pause")
        paused = reaches(service, job, "paused")
        after_the_pause = slow.data_requests
        service.kill()
        start(service, slow)
        again = shown(service, job)
        slow.release()
        succeed(service, "POST", f"/v1/jobs/{job}/resume")

        assert reaches(service, job, "succeeded")["counts"] == {"cached": 3}

    assert (paused["reason"], paused["finished_at"], again["state"]) == ("", None, "paused")
    assert after_the_pause == 1
    assert {host: task["attempts"] for host, task in tasks(service, job).items()} == {
        "cmp-1": 2,
        "cmp-2": 1,
        "cmp-3": 1,
    }
    assert {task["decoded_by"] for task in tasks(service, job).values()} == {decoded_by}
    # What the first host had received was not sent again; one more block went to its closed connection.
    assert slow.sent_bytes <= len(HOSTS) * size + MIB
    assert litter(service) == []


def test_a_deadline_ends_a_job_in_mid_download(service, images, tmp_path):
    random_raw(images / "web.raw", 8)
    with slow_images(images, tmp_path / "slow-index.json", sends_freely=1) as slow:
        start(service, slow)
        deadline = datetime.now(UTC) + timedelta(seconds=4)
        job = create(service, deadline=deadline.isoformat())
        wait_until(lambda: tasks(service, job)["cmp-2"]["bytes_done"])

        job_shown = reaches(service, job, "expired")

        assert job_shown["reason"] == "The deadline passed: 1 of 3 hosts are ready."
        assert job_shown["counts"] == {"cached": 1, "expired": 2}
        assert timedelta() <= datetime.fromisoformat(str(job_shown["finished_at"])) - deadline < timedelta(seconds=3)
        wait_until(lambda: litter(service) == [])


def test_a_job_waits_for_its_window_and_a_failed_canary_ends_it(service, images):
    random_raw(images / "web.raw", 1)
    service.start({})
    now = datetime.now(UTC)
    begin, end = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (2, 3))
    job = create(service, window={"from": begin, "to": end})
    waiting = reaches(service, job, "waiting")
    moved_before = data_requests(service)

    answer = call(service, "PATCH", f"/v1/jobs/{job}", {"window": None})
    assert answer.ok, answer.text
    reaches(service, job, "succeeded")

    service.run("host", "set", "cmp-1", "--down")
    random_raw(images / "next.raw", 2)
    wait_until(lambda: "next" in ids(service))
    body = {"images": [{"image": "next"}], "target": {"hosts": HOSTS}, "canary": {"hosts": 1}}
    failing = succeed(service, "POST", "/v1/jobs", body).json()["job"]["id"]
    failed = reaches(service, failing, "failed")

    assert str(waiting["reason"]).startswith("Its window opens at ")
    assert moved_before == 0
    assert str(failed["reason"]).startswith("Canary cmp-1 failed: the host is down")
    assert failed["counts"] == {"skipped": 3}
