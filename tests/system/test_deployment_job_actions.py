"""Actions on jobs of a deployment, each sent again and again, around the death of a process: see `job_table.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.system.deployed import CELLS, CONDUCTORS, CONTENT, Deployed
from tests.system.job_table import SPARE, Jobs
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external, pytest.mark.timeout(300)]

MORE = {"cmp-5": "cell1", "cmp-6": "cell2", "cmp-7": "cell1", SPARE: "cell2"}
HOSTS = CELLS | MORE

ROOM = {
    "OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "32",
    "OS_CONDUCTOR__JOBS_AT_ONCE": "32",
    "OS_GLANCE__MIN_THROUGHPUT": "0",
}
"""One conductor has room for all jobs, and a transfer may be held up for as long as a test takes."""


def start_computes(here: Deployed, hosts: Mapping[str, str]) -> None:
    with ThreadPoolExecutor() as side_by_side:
        list(side_by_side.map(lambda host: here.precache.start_compute(host, hosts[host]), hosts))


def kill_api(here: Deployed) -> None:
    here.precache.kill("api")


def start_api(here: Deployed) -> None:
    here.precache.start_api()


def kill_conductors(here: Deployed) -> None:
    for conductor in CONDUCTORS:
        here.precache.kill(conductor)


def start_one(here: Deployed) -> None:
    """Start the second one: it continues its own jobs, and takes those of the first one over."""
    here.precache.start_conductor(CONDUCTORS[1])


def kill_one(here: Deployed) -> None:
    here.precache.kill(CONDUCTORS[0])


def nothing(here: Deployed) -> None:
    """The second one, which is alive, takes the jobs over."""


def kill_computes(here: Deployed) -> None:
    for host in HOSTS.keys() - {SPARE}:
        here.precache.kill(host)


def restart_computes(here: Deployed) -> None:
    start_computes(here, {host: cell for host, cell in HOSTS.items() if host != SPARE})


class Fault(NamedTuple):
    """What dies, and how it comes back.

    refuses: the answers of the API meanwhile, beside those of a service in which all is well.
    """

    name: str
    begin: Callable[[Deployed], Any]
    end: Callable[[Deployed], Any]
    refuses: tuple[int, ...] = ()


API = Fault("api", kill_api, start_api, (0,))
BOTH = Fault("conductors", kill_conductors, start_one)
ONE = Fault("take_over", kill_one, nothing)
COMPUTES = Fault("computes", kill_computes, restart_computes)
BROKER = Fault("broker", lambda here: here.broker.stop(), lambda here: here.broker.start())
DATABASE = Fault("database", lambda here: here.database.stop(), lambda here: here.database.start(), (503,))

DEFAULT = (BOTH, "during")
"""The part of the table for `make test`: it has all rows. All other parts are `long`."""


def cases() -> Iterator[Any]:
    for fault in (API, BOTH, ONE, COMPUTES, BROKER, DATABASE):
        for moment in ("before", "during"):
            marks = () if (fault, moment) == DEFAULT else pytest.mark.long
            yield pytest.param(fault, moment, marks=marks, id=f"{fault.name}-{moment}")


@pytest.fixture(scope="module", autouse=True)
def room() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ROOM.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def known(room: None, here: Deployed) -> str:
    """The id of an image that all hosts have."""
    start_computes(here, MORE)
    wait_until(lambda: here.hosts_that_are_up() == set(HOSTS))
    image = here.cloud.glance.upload_image(CONTENT, visibility="public")
    assert here.ended(here.request(here.aggregate(*HOSTS), image)) == "succeeded"
    return image


@pytest.fixture
def jobs(here: Deployed, known: str) -> Iterator[Jobs]:
    """The jobs of one test; a test that fails leaves nothing to the next one."""
    jobs = Jobs(here, known)
    yield jobs
    repair(here)
    wait_until(lambda: here.hosts_that_are_up() == set(HOSTS))
    jobs.cancel()


def repair(here: Deployed) -> None:
    """Have everything run."""
    here.broker.start()
    here.database.start()
    if not here.precache.is_running("api"):
        here.precache.start_api()
    for conductor in CONDUCTORS:
        if not here.precache.is_running(conductor):
            here.precache.start_conductor(conductor)
    start_computes(here, {host: cell for host, cell in HOSTS.items() if not here.precache.is_running(host)})


@pytest.mark.parametrize(("fault", "moment"), list(cases()))
def test_every_job_ends_as_was_asked_for_and_the_disks_agree(here: Deployed, jobs: Jobs, fault: Fault, moment: str):
    with here.gate.shut():
        jobs.create("paused", "cancelled")
        here.precache.kill(SPARE)
        jobs.create("running", "waiting", "not_before")
        wait_until(lambda: SPARE not in here.hosts_that_are_up())
        jobs.create("down", "skipped")
        jobs.look()
        if moment == "before":
            jobs.act(allowed=(409,))

        fault.begin(here)
        if fault is BOTH:
            jobs.create("queued")
        jobs.act(allowed=(409, *fault.refuses))
        fault.end(here)

        jobs.act(allowed=(409,))
        here.precache.start_compute(SPARE, HOSTS[SPARE])
        jobs.wait_for_stops()
        jobs.look()

    jobs.wait_for_ends()
    jobs.check(has_lost_calls=fault in (COMPUTES, BROKER))
    repair(here)
    jobs.finish()
