"""Hosts that share a cache: one is called, and its results count for all of them."""

from __future__ import annotations

import pytest

from precache.core.hosts import Host
from precache.core.jobs import HostAsked, HostEnded, JobState, Outcome, TaskResult
from precache.rules.shared_caches import by_shared_cache, result_for_sharer
from tests.unit.conductor.cloud import FIRST, LEASE, SECOND, Cloud
from tests.unit.conductor.steered import SteeredHost

ONE_CELL = dict.fromkeys("abcd", "cell1")
SHARED = {"a": "nfs", "b": "nfs", "c": "nfs"}


class Counted:
    """Answers each request with the next of the outcomes, and notes which images were requested."""

    def __init__(self, *outcomes):
        self._outcomes = list(outcomes)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request.images)
        outcome = self._outcomes.pop(0)
        chosen = outcome if isinstance(outcome, dict) else dict.fromkeys(request.images, outcome)
        return [TaskResult(image, chosen[image], bytes_moved=10, reason="why") for image in request.images]


def cloud_of(hosts, **options):
    return Cloud(hosts, **{"cells": ONE_CELL, "caches": SHARED} | options)


def test_one_host_of_a_cache_is_called_and_the_others_have_the_image_then():
    hosts = {name: Counted(Outcome.CACHED) for name in "abcd"}
    cloud = cloud_of(hosts, caches=SHARED | {"d": "own"})

    cloud.run()

    assert [len(host.requests) for host in hosts.values()] == [1, 0, 0, 1]
    assert cloud.outcomes() == {
        "a": [Outcome.CACHED],
        "b": [Outcome.EXISTING],
        "c": [Outcome.EXISTING],
        "d": [Outcome.CACHED],
    }
    assert cloud.reason("b") == "by host a, which shares this cache: why"
    assert [task.bytes_done for task in cloud.jobs.list_tasks("job")] == [10, 0, 0, 10]
    assert [task.cell for task in cloud.jobs.list_tasks("job")] == ["cell1"] * 4
    assert cloud.jobs.get("job").state is JobState.SUCCEEDED


def test_the_others_wait_until_the_first_has_ended(steered):
    run = steered({name: SteeredHost() for name in "abc"}, cells=ONE_CELL, caches=SHARED)
    run.start()
    run.busy("a")

    assert [task.outcome for task in run.tasks().values()] == [None] * 3
    run.hosts["a"].answer()

    assert run.join().counts == {Outcome.CACHED: 1, Outcome.EXISTING: 2}
    assert [host.told for host in run.hosts.values()] == [["cache"], [], []]


def test_what_one_host_could_not_do_another_tries():
    first = {FIRST: Outcome.CACHED, SECOND: Outcome.ERROR}
    hosts = {"a": Counted(first), "b": Counted(Outcome.CACHED), "c": Counted()}
    cloud = cloud_of(hosts, images=(FIRST, SECOND))

    cloud.run()

    assert hosts["b"].requests == [(SECOND,)]
    assert cloud.outcomes() == {
        "a": [Outcome.CACHED, Outcome.ERROR],
        "b": [Outcome.EXISTING, Outcome.CACHED],
        "c": [Outcome.EXISTING, Outcome.EXISTING],
    }


def test_an_image_that_fails_on_two_hosts_is_not_tried_on_all_others():
    hosts = {"a": Counted(Outcome.ERROR), "b": Counted(Outcome.ERROR), "c": Counted()}
    cloud = cloud_of(hosts)

    cloud.run()

    assert cloud.outcomes() == {name: [Outcome.ERROR] for name in "abc"}
    assert cloud.reason("c") == "hosts a and b, which share this cache, failed: why"


def test_hosts_of_different_cells_are_each_called():
    hosts = {"a": Counted(Outcome.CACHED), "b": Counted(Outcome.EXISTING)}
    cloud = cloud_of(hosts, cells={"a": "cell1", "b": "cell2"})

    cloud.run()

    assert [len(host.requests) for host in hosts.values()] == [1, 1]


def test_after_a_takeover_the_host_that_was_called_works_on():
    hosts = {"a": Counted(), "b": Counted(Outcome.CACHED), "c": Counted()}
    cloud = cloud_of(hosts)
    dead = cloud.jobs.claim("dead", LEASE)
    cloud.jobs.record(dead.claim, [HostAsked("b", "cell1", (FIRST,), cloud.clock.now())])
    cloud.clock.advance(LEASE)

    cloud.run(owner="heir")

    assert cloud.outcomes() == {"a": [Outcome.EXISTING], "b": [Outcome.CACHED], "c": [Outcome.EXISTING]}


def test_after_a_takeover_the_hosts_of_one_that_has_ended_ask_once_more():
    hosts = {"a": Counted(), "b": Counted(Outcome.EXISTING), "c": Counted()}
    cloud = cloud_of(hosts)
    dead = cloud.jobs.claim("dead", LEASE)
    cloud.jobs.record(dead.claim, [HostEnded("a", (TaskResult(FIRST, Outcome.CACHED),), cloud.clock.now(), "cell1")])
    cloud.clock.advance(LEASE)

    cloud.run(owner="heir")

    assert cloud.outcomes() == {"a": [Outcome.CACHED], "b": [Outcome.EXISTING], "c": [Outcome.EXISTING]}


def test_a_cancelled_job_ends_for_the_hosts_that_waited_for_another(steered):
    run = steered({name: SteeredHost() for name in "abc"}, cells=ONE_CELL, caches=SHARED)
    run.start()
    run.busy("a")

    run.jobs.cancel("job")
    run.steer()

    assert run.join().counts == {Outcome.CANCELLED: 3}
    assert (run.hosts["b"].told, run.hosts["c"].told) == ([], [])


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_of_the_cache_counts_for_all_and_one_of_the_host_does_not(outcome):
    of_the_host = {"unsupported", "error", "skipped", "cancelled", "expired"}

    shared = result_for_sharer(TaskResult(FIRST, outcome, bytes_moved=10), "a")

    assert (shared is None) == (outcome in of_the_host)
    if shared is not None:
        assert shared.outcome == ("existing" if outcome == "cached" else outcome)
        assert shared.bytes_moved == 0


def test_hosts_without_a_known_cache_share_none():
    hosts = [Host("a", "cell1"), Host("b", "cell1"), Host("c", None, cache_id="x"), Host("d", None, cache_id="x")]

    assert by_shared_cache(hosts) == {}
