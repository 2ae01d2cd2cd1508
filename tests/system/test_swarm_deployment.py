"""Jobs by swarm in a whole deployment: one copy for each site, also while parts of it die."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.system.deployed import CELLS, CONTENT, Deployed
from tests.system.test_deployment_cancel import cancel
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(240)]

SITES = 2


def request(here: Deployed, image: str, *hosts: str) -> str:
    body = {"images": [{"image": image}], "target": {"hosts": list(hosts)}, "transfer": "swarm"}
    answer = here.precache.call("POST", "/v1/jobs", body, here.token)
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["job"]["id"]
    return found


def seeders(here: Deployed, job: str) -> list[str]:
    """Return the hosts that fetch the image from the image service, or have fetched it, without those that left."""
    sites = here.precache.get(f"/v1/jobs/{job}/sites", here.token)["sites"]
    hosts = [host for site in sites for host in site["hosts"]]
    return [host["host"] for host in hosts if host["source"] == "image_service" and host["state"] != "left"]


def nothing(here: Deployed, job: str) -> Callable[[], None]:
    return lambda: None


def conductor_is_killed(here: Deployed, job: str) -> Callable[[], None]:
    dead = here.conductor_of(job)
    here.precache.kill(dead)
    return lambda: here.precache.start_conductor(dead)


@pytest.mark.parametrize("trouble", [nothing, conductor_is_killed])
def test_an_image_crosses_the_uplink_of_each_site_once(here: Deployed, image: str, trouble):
    with here.gate.shut():
        job = request(here, image, *CELLS)
        wait_until(lambda: len(seeders(here, job)) == SITES)
        repair = trouble(here, job)

    assert here.ended(job) == "succeeded"
    repair()
    assert all(here.holds(host, image, CONTENT) for host in CELLS)
    assert here.gate.sent[image] == SITES * len(CONTENT)
    tasks = here.tasks(job)
    assert {tasks[host]["parent"] for host in CELLS} <= {None, *seeders(here, job)}
    received = [task["bytes_from"] for task in tasks.values()]
    # The image of an earlier test has the same name and content, so its pieces are taken from the cache.
    assert sum(source["hosts"] + source["cache"] for source in received) == SITES * len(CONTENT)
    wait_until(lambda: not here.precache.litter())


def test_another_host_takes_the_place_of_a_seeder_that_was_killed(here: Deployed, image: str):
    with here.gate.shut():
        job = request(here, image, "cmp-1", "cmp-2")
        wait_until(lambda: seeders(here, job))
        [dead] = seeders(here, job)
        here.precache.kill(dead)
        [other] = {"cmp-1", "cmp-2"} - {dead}
        wait_until(lambda: seeders(here, job) == [other])

    assert here.ended(job) == "partly_failed"
    here.precache.start_compute(dead, "cell1")
    assert here.outcomes(job) == {dead: "error", other: "cached"}
    assert here.holds(other, image, CONTENT)

    assert here.ended(request(here, image, "cmp-1", "cmp-2")) == "succeeded"

    assert here.holds(dead, image, CONTENT)
    wait_until(lambda: not here.precache.litter())


def test_a_cancelled_job_leaves_no_piece(here: Deployed, image: str):
    with here.gate.shut():
        job = request(here, image, *CELLS)
        wait_until(lambda: len(seeders(here, job)) == SITES)
        cancel(here, job)
        assert here.ended(job) == "cancelled"

    wait_until(lambda: not here.precache.litter())
    assert not any(here.precache.entry(host, image).exists() for host in CELLS)
