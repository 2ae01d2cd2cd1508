"""A job that is cancelled while its hosts download, with all parts up and with each of them down."""

from __future__ import annotations

import time

import pytest

from tests.system.deployed import CELLS, CONDUCTORS, CONTENT, Deployed
from tests.system.operating import oldest_report_s
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(240)]

THREE = ("cmp-1", "cmp-2", "cmp-3")
BROKER_AWAY_S = 3
STOPPED_WITHIN_S = 2.0
PROGRESS_S = 2.0
"""The age of the oldest progress that is shown of a running task."""
MACHINE_IS_BUSY = 3
"""How many times longer it may take where other tests run."""


def cancel(here: Deployed, job: str) -> None:
    answer = here.precache.call("POST", f"/v1/jobs/{job}/cancel", token=here.token)
    assert answer.status_code == 202, answer.text
    assert answer.json()["job"]["cancel_requested_at"]


def downloads(here: Deployed, image: str, *hosts: str) -> bool:
    """Return whether each of these hosts has a transfer of the image in progress."""
    arriving = [str(path) for path in here.precache.litter()]
    return all(any(path.startswith(str(here.precache.entry(host, image))) for path in arriving) for host in hosts)


def counts(here: Deployed, job: str) -> dict[str, int]:
    found: dict[str, int] = here.precache.get(f"/v1/jobs/{job}", here.token)["job"]["counts"]
    return {outcome: count for outcome, count in found.items() if count}


def test_three_hosts_that_download_stop_within_two_seconds_and_leave_nothing(here: Deployed, image: str):
    assert here.ended(here.request(here.aggregate("cmp-4"), image)) == "succeeded"
    aggregate = here.aggregate(*CELLS)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))
        wait_until(lambda: here.outcomes(job)["cmp-4"])
        wait_until(lambda: all(here.tasks(job)[host]["bytes_done"] for host in THREE))
        assert oldest_report_s(here.tasks(job).values()) < PROGRESS_S * MACHINE_IS_BUSY

        asked_at = time.monotonic()
        cancel(here, job)
        wait_until(lambda: not here.precache.litter())
        stopped_after_s = time.monotonic() - asked_at
        assert here.ended(job) == "cancelled"

    assert counts(here, job) == {"existing": 1, "cancelled": 3}
    assert {task["reason"] for task in here.tasks(job).values()} == {""}
    assert [host for host in CELLS if here.precache.entry(host, image).exists()] == ["cmp-4"]
    assert stopped_after_s < STOPPED_WITHIN_S * MACHINE_IS_BUSY
    cancel(here, job)  # once more changes nothing
    assert here.ended(job) == "cancelled"


def test_a_host_that_was_killed_is_named_and_the_others_stop(here: Deployed, image: str):
    aggregate = here.aggregate(*THREE)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))
        here.precache.kill("cmp-2")

        cancel(here, job)
        assert here.ended(job) == "cancelled"

    tasks = here.tasks(job)
    assert counts(here, job) == {"cancelled": 3}
    assert {host for host, task in tasks.items() if task["reason"]} == {"cmp-2"}
    assert "did not answer" in tasks["cmp-2"]["reason"]
    assert "may go on" in tasks["cmp-2"]["reason"]
    here.precache.start_compute("cmp-2", CELLS["cmp-2"])
    assert not here.precache.litter()
    assert not [host for host in THREE if here.precache.entry(host, image).exists()]


def test_a_job_whose_conductor_was_killed_is_cancelled_by_the_other(here: Deployed, image: str):
    aggregate = here.aggregate(*THREE)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))
        dead = here.conductor_of(job)
        here.precache.kill(dead)
        [other] = set(CONDUCTORS) - {dead}

        cancel(here, job)
        assert here.ended(job) == "cancelled"
        assert f"Job {job} was cancelled" in here.precache.log(other)
        wait_until(lambda: not here.precache.litter())

    assert counts(here, job) == {"cancelled": 3}
    assert {task["reason"] for task in here.tasks(job).values()} == {""}
    assert not [host for host in THREE if here.precache.entry(host, image).exists()]
    here.precache.start_conductor(dead)


def test_a_job_that_no_conductor_holds_is_cancelled_by_the_next_one(here: Deployed, image: str):
    aggregate = here.aggregate(*THREE)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))
        for conductor in CONDUCTORS:
            here.precache.stop_one(conductor)

        cancel(here, job)
        # Not at once: hosts still work for the conductor that is gone.
        assert here.precache.get(f"/v1/jobs/{job}", here.token)["job"]["state"] == "queued"
        assert downloads(here, image, *THREE)
        for conductor in CONDUCTORS:
            here.precache.start_conductor(conductor)

        assert here.ended(job) == "cancelled"
        wait_until(lambda: not here.precache.litter())

    assert counts(here, job) == {"cancelled": 3}
    assert not [host for host in THREE if here.precache.entry(host, image).exists()]


def test_a_cancel_while_the_broker_is_down_reaches_the_hosts_when_it_is_back(here: Deployed, image: str):
    aggregate = here.aggregate(*THREE)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))
        conductor = here.conductor_of(job)
        here.broker.stop()

        cancel(here, job)
        wait_until(lambda: f"Job {job} was cancelled" in here.precache.log(conductor))
        assert downloads(here, image, *THREE)
        here.broker.restart(BROKER_AWAY_S)

        assert here.ended(job) == "cancelled"
        wait_until(lambda: not here.precache.litter())

    assert counts(here, job) == {"cancelled": 3}
    assert {task["reason"] for task in here.tasks(job).values()} == {""}
    assert not [host for host in THREE if here.precache.entry(host, image).exists()]


def test_while_messages_are_pinned_below_1_2_the_job_ends_and_says_what_its_hosts_may_do(here: Deployed, image: str):
    for conductor in CONDUCTORS:
        here.precache.stop_one(conductor)
        here.precache.start_conductor(conductor, {"upgrade_levels": {"compute": "1.1"}})
    aggregate = here.aggregate(*THREE)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))

        cancel(here, job)
        assert here.ended(job) == "cancelled"
        assert downloads(here, image, *THREE)

    reasons = {task["reason"] for task in here.tasks(job).values()}
    assert counts(here, job) == {"cancelled": 3}
    assert all("pinned to version 1.1" in reason and "may go on" in reason for reason in reasons)
    wait_until(lambda: all(here.holds(host, image, CONTENT) for host in THREE))
    for conductor in CONDUCTORS:
        here.precache.stop_one(conductor)
        here.precache.start_conductor(conductor)
