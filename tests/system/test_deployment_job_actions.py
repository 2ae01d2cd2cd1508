"""Actions on jobs of a deployment, each sent twice, around the death of a process: a table of what becomes of each job.

Each job has a host of its own, so that the disk of the host shows what the job has done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.system.deployed import CELLS, CONDUCTORS, CONTENT, FINAL, Deployed
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(300)]

SETTLED = (*FINAL, "paused")


class Row(NamedTuple):
    """What is sent for the job of a host that has begun to download, and how the job ends.

    ends_without_host: how it may end if the compute is killed. A compute that is back in time is asked again.
    """

    host: str
    actions: tuple[str, ...]
    ends: str
    ends_without_host: tuple[str, ...]


TABLE = (
    Row("cmp-1", ("cancel",), "cancelled", ("cancelled",)),
    Row("cmp-2", ("pause",), "paused", ("paused",)),
    Row("cmp-3", ("pause", "resume"), "succeeded", ("succeeded", "failed")),
    Row("cmp-4", (), "succeeded", ("succeeded", "failed")),
)


def act(here: Deployed, job: str, action: str) -> None:
    for _ in range(2):
        answer = here.precache.call("POST", f"/v1/jobs/{job}/{action}", token=here.token)
        assert answer.status_code == 202, answer.text


def state(here: Deployed, job: str) -> str:
    return str(here.precache.get(f"/v1/jobs/{job}", here.token)["job"]["state"])


def create(here: Deployed, image: str, host: str) -> str:
    body = {"images": [{"image": image}], "target": {"hosts": [host]}}
    answer = here.precache.call("POST", "/v1/jobs", body, here.token)
    assert answer.status_code == 202, answer.text
    job: str = answer.json()["job"]["id"]
    wait_until(lambda: here.tasks(job)[host]["bytes_done"])
    return job


def restart_api(here: Deployed) -> None:
    here.precache.kill("api")
    here.precache.start_api()


def restart_conductors(here: Deployed) -> None:
    for conductor in CONDUCTORS:
        here.precache.kill(conductor)
    for conductor in CONDUCTORS:
        here.precache.start_conductor(conductor)


def take_over(here: Deployed) -> None:
    """Kill the first conductor; the other one takes its jobs over."""
    here.precache.kill(CONDUCTORS[0])


def restart_computes(here: Deployed) -> None:
    for host in CELLS:
        here.precache.kill(host)
    for host, cell in CELLS.items():
        here.precache.start_compute(host, cell)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(restart_api, marks=pytest.mark.long),
        pytest.param(restart_conductors, marks=pytest.mark.long),
        take_over,
        pytest.param(restart_computes, marks=pytest.mark.long),
    ],
    ids=lambda fault: fault.__name__,
)
def test_every_job_ends_as_was_asked_for_and_the_disks_agree(
    here: Deployed, image: str, fault: Callable[[Deployed], None]
):
    has_hosts = fault is not restart_computes
    with here.gate.shut():
        jobs = {row: create(here, image, row.host) for row in TABLE}
        for row, job in jobs.items():
            for action in row.actions[:-1]:
                act(here, job, action)
                wait_until(lambda job=job: state(here, job) == "paused")
        for row, job in jobs.items():
            for action in row.actions[-1:]:
                act(here, job, action)
        fault(here)
        for row, job in jobs.items():
            for action in row.actions[-1:]:
                # A repetition is refused only if the job has ended meanwhile.
                answer = here.precache.call("POST", f"/v1/jobs/{job}/{action}", token=here.token)
                assert answer.status_code in (202, 409), answer.text

    try:
        wait_until(lambda: all(state(here, job) in SETTLED for job in jobs.values()))
        for row, job in jobs.items():
            assert state(here, job) in ((row.ends,) if has_hosts else row.ends_without_host), row
            check(here, row, job, image)
    finally:
        if fault is take_over:
            here.precache.start_conductor(CONDUCTORS[0])
        here.precache.call("POST", f"/v1/jobs/{jobs[TABLE[1]]}/cancel", token=here.token)
    wait_until(lambda: not here.precache.litter())


def check(here: Deployed, row: Row, job: str, image: str) -> None:
    """Check that the outcomes add up and that the disk of the host agrees."""
    shown = here.precache.get(f"/v1/jobs/{job}", here.token)["job"]
    task = here.tasks(job)[row.host]
    has_ended = shown["state"] != "paused"
    assert sum(shown["counts"].values()) == has_ended, row
    assert (task["outcome"] is not None) == has_ended, row
    assert here.precache.entry(row.host, image).exists() == (task["outcome"] in ("cached", "existing")), row
    if task["outcome"] == "cached":
        assert here.holds(row.host, image, CONTENT), row
    left = [path for path in here.precache.litter() if path.is_relative_to(here.precache.instances(row.host))]
    assert [path for path in left if has_ended or "-kept-" not in path.name] == [], row
