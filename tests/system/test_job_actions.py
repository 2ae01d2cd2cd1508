"""Each action on a job in each state, twice, with a kill -9 of the service in between: a table of what becomes of it.

All jobs live in one service, each with a host of its own, so that the disk of the host shows what the job has done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.lab.slow_images import slow_images
from tests.system.conftest import random_raw
from tests.system.operating import call, entry, ids, litter, state, succeed, tasks, wait_until
from tools.local_service import LocalService

pytestmark = pytest.mark.system

FAR = {"from": "00:00", "to": "00:01", "days": ["mon"], "time_zone": "Antarctica/Troll"}
"""A window that is open for a minute of a week."""


class Cell(NamedTuple):
    """A cell of the table: the answer to the action, to the same action after the kill, and the end of the job."""

    state: str
    action: str
    first: int
    again: int
    end: str


TABLE = (
    Cell("waiting", "cancel", 202, 202, "cancelled"),
    Cell("waiting", "pause", 202, 202, "paused"),
    Cell("waiting", "resume", 202, 202, "waiting"),
    Cell("waiting", "retry", 409, 409, "waiting"),
    Cell("waiting", "change", 200, 200, "waiting"),
    Cell("running", "cancel", 202, 202, "cancelled"),
    Cell("running", "pause", 202, 202, "paused"),
    Cell("running", "resume", 202, 202, "succeeded"),
    Cell("running", "retry", 409, 409, "succeeded"),
    Cell("running", "change", 200, 200, "succeeded"),
    Cell("paused", "cancel", 202, 202, "cancelled"),
    Cell("paused", "pause", 202, 202, "paused"),
    Cell("paused", "resume", 202, 202, "succeeded"),
    Cell("paused", "retry", 409, 409, "paused"),
    Cell("paused", "change", 200, 200, "paused"),
    Cell("cancelled", "cancel", 202, 202, "cancelled"),
    Cell("cancelled", "pause", 409, 409, "cancelled"),
    Cell("cancelled", "resume", 409, 409, "cancelled"),
    Cell("cancelled", "retry", 202, 409, "succeeded"),
    Cell("cancelled", "change", 409, 409, "cancelled"),
)


def host_of(cell: Cell) -> str:
    return f"{cell.state}-{cell.action}"


def act(service: LocalService, job: str, action: str) -> int:
    if action == "change":
        return call(service, "PATCH", f"/v1/jobs/{job}", {"priority": 70}).status_code
    return call(service, "POST", f"/v1/jobs/{job}/{action}").status_code


def bring_to(service: LocalService, cell: Cell) -> str:
    """Create a job in the state of the cell, and return its id."""
    body = {"images": [{"image": "web"}], "target": {"hosts": [host_of(cell)]}}
    window = {"window": FAR} if cell.state == "waiting" else {}
    job: str = succeed(service, "POST", "/v1/jobs", body | window).json()["job"]["id"]
    if cell.state != "waiting":
        wait_until(lambda: tasks(service, job)[host_of(cell)]["bytes_done"])
    if cell.state in ("paused", "cancelled"):
        act(service, job, {"paused": "pause", "cancelled": "cancel"}[cell.state])
    wait_until(lambda: state(service, job) == cell.state)
    return job


def test_each_action_in_each_state_twice_with_a_kill_in_between(
    new_service: Callable[..., LocalService], images, tmp_path
):
    random_raw(images / "web.raw", 8)
    service = new_service(",".join(f"cell1:{host_of(cell)}" for cell in TABLE))
    with slow_images(images, tmp_path / "slow-index.json", threads=2 * len(TABLE)) as slow:
        environment = {
            "OS_GLANCE__ENDPOINT_OVERRIDE": slow.url,
            "OS_GLANCE__NUM_RETRIES": "0",
            "OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": str(len(TABLE)),
            "OS_CONDUCTOR__JOBS_AT_ONCE": str(len(TABLE)),
        }
        service.start(environment)
        image = ids(service)["web"]
        jobs = {cell: bring_to(service, cell) for cell in TABLE}

        first = {cell: act(service, jobs[cell], cell.action) for cell in TABLE}
        service.kill()
        service.start(environment)
        again = {cell: act(service, jobs[cell], cell.action) for cell in TABLE}
        slow.release()
        for cell in TABLE:
            wait_until(lambda cell=cell: state(service, jobs[cell]) == cell.end)

        shown = {cell: service.get(f"/v1/jobs/{jobs[cell]}")["job"] for cell in TABLE}

    assert first == {cell: cell.first for cell in TABLE}
    assert again == {cell: cell.again for cell in TABLE}
    for cell in TABLE:
        counts = {outcome: count for outcome, count in shown[cell]["counts"].items() if count}
        expected = {"succeeded": {"cached": 1}, "cancelled": {"cancelled": 1}}
        assert counts == expected.get(cell.end, {}), cell
        assert entry(service, host_of(cell), image).exists() is (cell.end == "succeeded"), cell
    left = {file.split("/hosts/")[1].split("/")[0] for file in litter(service)}
    assert left <= {host_of(cell) for cell in TABLE if cell.end == "paused"}
