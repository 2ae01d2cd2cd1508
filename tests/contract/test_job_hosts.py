"""The hosts of a job, as every job store shows them."""

import pytest

from precache.core.errors import HostNotFound, JobNotFound
from precache.core.hosts import Heartbeat
from precache.core.job_hosts import JobHostFilter
from precache.core.jobs import Outcome, Phase, TaskProgress, TaskResult, TaskState
from tests.contract.job_values import DEBIAN, NOW, SECOND, UBUNTU, asked, claim, ended, job_id, new_job

ENDED, RUNNING, WAITING = TaskState.ENDED, TaskState.RUNNING, TaskState.WAITING


@pytest.fixture
def four(stores):
    """Return a store with a job for four hosts: `b` has ended, `a` downloads, `d` has done one of two, `c` waits.

    `a` and `c` are in the cell `east`, and `c` has named a site of its own. Nothing is known of `b` and `d` but the
    cell in which they were called.
    """
    stores.host_reports.store_heartbeats(
        [Heartbeat("a", "east", "fake", NOW), Heartbeat("c", "east", "fake", NOW, site="shop-7")]
    )
    stores.intake.add(new_job(hosts=["b", "a", "d", "c"], image_sizes={DEBIAN: 1000, UBUNTU: 500}))
    claim(stores)
    asked(stores, "b", UBUNTU, DEBIAN, cell="west")
    asked(stores, "a", UBUNTU, DEBIAN, cell="east")
    asked(stores, "d", UBUNTU, cell="west")
    ended(stores, "b", TaskResult(UBUNTU, Outcome.CACHED, 500), TaskResult(DEBIAN, Outcome.ERROR, 10, "disk full"))
    ended(stores, "d", TaskResult(UBUNTU, Outcome.EXISTING))
    for seconds in range(2):
        stores.clock.set(NOW + seconds * SECOND)
        report = TaskProgress(job_id(1), "a", UBUNTU, Phase.DOWNLOADING, 100 * seconds, 500, "east")
        stores.progress.note([report])
    return stores


def listed(stores, *, marker=None, limit=1000, **only):
    found = stores.queries.list_hosts(job_id(1), only=JobHostFilter(**only), limit=limit, marker=marker)
    return [each.host for each in found]


def test_each_host_shows_its_state_place_and_progress(four):
    ended_one, running, between, waiting = four.queries.list_hosts(job_id(1))

    assert [each.state for each in (ended_one, running, between, waiting)] == [ENDED, RUNNING, WAITING, WAITING]
    assert (ended_one.cell, ended_one.site, ended_one.attempts, ended_one.reason) == ("west", "west", 1, "disk full")
    assert (ended_one.image, ended_one.phase) == (None, None)
    assert ended_one.progress.counts == {Outcome.CACHED: 1, Outcome.ERROR: 1}
    assert (running.host, running.cell, running.image, running.phase) == ("a", "east", UBUNTU, Phase.DOWNLOADING)
    assert (running.progress.bytes_done, running.progress.bytes_total) == (100, 1500)
    assert (running.progress.rate_bytes_per_s, running.progress.eta_s) == (100, 14)
    assert between.progress.task_states == {WAITING: 1, ENDED: 1}
    assert (waiting.cell, waiting.site, waiting.attempts, waiting.reason) == ("east", "shop-7", 0, "")


@pytest.mark.parametrize(
    ("only", "hosts"),
    [
        ({}, ["b", "a", "d", "c"]),
        ({"state": RUNNING}, ["a"]),
        ({"state": WAITING}, ["d", "c"]),
        ({"state": ENDED}, ["b"]),
        ({"cell": "west"}, ["b", "d"]),
        ({"cell": "east"}, ["a", "c"]),
        ({"site": "east"}, ["a"]),
        ({"site": "shop-7"}, ["c"]),
        ({"site": "west", "state": WAITING}, ["d"]),
        ({"cell": "west", "site": "shop-7"}, []),
    ],
)
def test_hosts_can_be_narrowed_and_then_paged(four, only, hosts):
    first = listed(four, limit=1, **only)
    rest = listed(four, marker=first[0], **only) if first else []

    assert listed(four, **only) == first + rest == hosts


def test_a_page_may_begin_after_a_host_that_the_filter_leaves_out(four):
    assert listed(four, state=WAITING, marker="a") == ["d", "c"]


def test_the_hosts_of_an_unknown_job_and_after_an_unknown_host_are_not_found(four):
    with pytest.raises(JobNotFound):
        four.queries.list_hosts(job_id(9))
    with pytest.raises(HostNotFound):
        four.queries.list_hosts(job_id(1), marker="nowhere")


def test_a_host_is_found_by_the_site_of_its_aggregate(four):
    four.host_sites.store_sites({"a": "shop-8", "c": "shop-8"})

    assert listed(four, site="shop-8") == ["a"]
    assert listed(four, site="shop-7") == ["c"]
