"""A job that is paused while its hosts download, whatever part is down at that moment, and is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.system.deployed import CONDUCTORS, CONTENT, Deployed
from tests.system.test_deployment_cancel import MACHINE_IS_BUSY, STOPPED_WITHIN_S, downloads
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(240)]

THREE = ("cmp-1", "cmp-2", "cmp-3")


def steer(here: Deployed, job: str, action: str) -> None:
    answer = here.precache.call("POST", f"/v1/jobs/{job}/{action}", token=here.token)
    assert answer.status_code == 202, answer.text


def state(here: Deployed, job: str) -> str:
    found: str = here.precache.get(f"/v1/jobs/{job}", here.token)["job"]["state"]
    return found


def nothing(here: Deployed, job: str) -> Callable[[], None]:
    return lambda: None


def conductor_is_killed(here: Deployed, job: str) -> Callable[[], None]:
    dead = here.conductor_of(job)
    here.precache.kill(dead)
    return lambda: here.precache.start_conductor(dead)


def conductors_are_stopped(here: Deployed, job: str) -> Callable[[], None]:
    for conductor in CONDUCTORS:
        here.precache.stop_one(conductor)
    return lambda: [here.precache.start_conductor(conductor) for conductor in CONDUCTORS][-1]


def host_is_killed(here: Deployed, job: str) -> Callable[[], None]:
    here.precache.kill("cmp-2")
    return lambda: here.precache.start_compute("cmp-2", "cell1")


@pytest.mark.parametrize(
    ("trouble", "repairs_first"),
    [
        (nothing, False),
        (conductor_is_killed, False),
        (conductors_are_stopped, True),
        (host_is_killed, False),
    ],
)
def test_a_paused_job_continues_where_it_stopped(here: Deployed, image: str, trouble, repairs_first):
    aggregate = here.aggregate(*THREE)
    with here.gate.shut():
        job = here.request(aggregate, image)
        wait_until(lambda: downloads(here, image, *THREE))
        repair = trouble(here, job)
        asked_at = time.monotonic()
        steer(here, job, "pause")
        steer(here, job, "pause")
        if repairs_first:
            repair()
        wait_until(lambda: state(here, job) == "paused")
        paused_after_s = time.monotonic() - asked_at
        outcomes = dict(here.outcomes(job))
        reason = here.precache.get(f"/v1/jobs/{job}", here.token)["job"]["reason"]
    if not repairs_first:
        repair()
    if trouble is nothing:
        assert paused_after_s < STOPPED_WITHIN_S * MACHINE_IS_BUSY
        assert reason == ""
    assert set(outcomes.values()) <= {None, "error"}
    time.sleep(0.5)  # a host that did not obey would have finished: the gate is open
    assert not any(here.precache.entry(host, image).exists() for host in THREE)

    steer(here, job, "resume")

    assert here.ended(job) == ("partly_failed" if "error" in outcomes.values() else "succeeded")
    assert all(here.holds(host, image, CONTENT) for host in THREE if outcomes[host] is None)
    wait_until(lambda: not here.precache.litter())
