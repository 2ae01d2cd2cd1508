"""A job with canaries: the other hosts follow only if all of these succeed."""

from __future__ import annotations

import pytest

from precache.core.job_options import Canary, JobOptions
from precache.core.jobs import HostAsked, HostEnded, JobState, Outcome, TaskResult
from precache.core.stopping import StopReason
from tests.unit.conductor.cloud import FIRST, LEASE, answers
from tests.unit.conductor.steered import SteeredHost

TWO = JobOptions(canary=Canary(hosts=2))


def pytest_generate_tests(metafunc):
    if "steered" in metafunc.fixturenames:
        metafunc.parametrize("steered", ["direct", "swarm"], indirect=True)


def fails(request):
    return [TaskResult(image, Outcome.ERROR, reason="the disk is full") for image in request.images]


def test_the_others_are_called_when_all_canaries_have_succeeded(steered):
    run = steered({name: SteeredHost() for name in "abcd"}, options=TWO)
    run.start()
    run.busy("a", "b")
    run.hosts["a"].answer()
    run.wait_until(lambda: run.job.counts)
    before = [list(host.told) for host in run.hosts.values()]

    run.hosts["b"].answer()
    run.busy("c", "d")
    for name in "cd":
        run.hosts[name].answer()

    assert before == [["cache"], ["cache"], [], []]
    assert run.join().counts == {Outcome.CACHED: 4}


def test_canaries_are_spread_over_cells(steered):
    cells = {"a": "cell1", "b": "cell1", "c": "cell2"}
    run = steered({name: SteeredHost() for name in "abc"}, options=TWO, cells=cells)

    run.start()
    run.busy("a", "c")

    assert run.hosts["b"].told == []


def test_a_canary_that_fails_ends_the_job_and_says_which_and_why(steered):
    run = steered({"a": answers(Outcome.CACHED), "b": fails, "c": SteeredHost(), "d": SteeredHost()}, options=TWO)
    run.start()
    job = run.join()

    assert (job.state, job.reason) == (JobState.FAILED, "Canary b failed: the disk is full")
    assert job.counts == {Outcome.CACHED: 1, Outcome.ERROR: 1, Outcome.SKIPPED: 2}
    tasks = run.tasks()
    assert tasks["c"].reason == "this host was not called. Canary b failed: the disk is full"
    assert (tasks["c"].cell, tasks["c"].attempts) == ("cell1", 0)
    assert (run.hosts["c"].told, run.hosts["d"].told) == ([], [])


@pytest.mark.parametrize("has_ended", [True, False])
def test_hosts_that_move_do_not_make_the_next_conductor_pass_over_the_canaries(steered, has_ended):
    run = steered({name: SteeredHost() for name in "abcd"}, options=JobOptions(canary=Canary(hosts=1)))
    dead, now = run.jobs.claim("dead", LEASE), run.clock.now()
    # At that time host b was the first one with a cell.
    run.jobs.record(dead.claim, [HostAsked("b", "cell2", (FIRST,), now)])
    if has_ended:
        run.jobs.record(dead.claim, [HostEnded("b", (TaskResult(FIRST, Outcome.ERROR, reason="no disk"),), now)])
    run.clock.advance(LEASE)

    run.start("heir")
    if not has_ended:
        run.busy("b")
        run.hosts["b"].answer(Outcome.ERROR)

    assert run.join().state is JobState.FAILED
    assert run.job.reason.startswith("Canary b failed")
    assert [run.hosts[name].told for name in "acd"] == [[], [], []]


def test_a_canary_that_is_down_has_failed(steered):
    run = steered({"a": SteeredHost(), "b": SteeredHost()}, options=JobOptions(canary=Canary(percent=10)))
    run.cloud.inventory.set_forced_down("a", forced_down=True)

    run.start()

    assert run.join().state is JobState.FAILED
    assert "Canary a failed: the host is down" in run.job.reason
    assert run.hosts["b"].told == []


def test_a_job_whose_hosts_are_all_canaries_fails_with_one_of_them(steered):
    run = steered({"a": answers(Outcome.CACHED), "b": fails}, options=TWO)

    run.start()

    assert (run.join().state, run.job.reason) == (JobState.FAILED, "Canary b failed: the disk is full")


def test_the_next_conductor_chooses_the_same_canaries_and_knows_that_one_has_failed(steered):
    run = steered({name: SteeredHost() for name in "abcd"}, options=TWO)
    dead = run.jobs.claim("dead", LEASE)
    now = run.clock.now()
    result = TaskResult(FIRST, Outcome.ERROR, reason="the disk is full")
    run.jobs.record(dead.claim, [HostAsked("a", "cell1", (FIRST,), now), HostEnded("a", (result,), now)])
    run.clock.advance(LEASE)

    run.start("heir")
    run.busy("b")
    run.hosts["b"].answer()
    job = run.join()

    assert (job.state, job.reason) == (JobState.FAILED, "Canary a failed: the disk is full")
    assert (run.hosts["c"].told, run.hosts["d"].told) == ([], [])


@pytest.mark.parametrize("ends", [True, False])
def test_a_failure_after_the_canaries_stops_no_other_host_also_for_the_next_conductor(steered, ends):
    run = steered({name: SteeredHost() for name in "abcd"}, options=TWO)
    run.start(stop_patience=LEASE * 0)
    run.busy("a", "b")
    for name in "ab":
        run.hosts[name].answer()
    run.busy("c", "d")
    run.hosts["c"].answer(Outcome.ERROR)
    run.wait_until(lambda: Outcome.ERROR in run.job.counts)
    if not ends:
        run.control.stop.cancel(StopReason.SHUTDOWN)
        run.join()
        run.hosts["d"].answer()
        run.wait_until(lambda: not run.hosts["d"].is_busy.is_set())
        run.advance(LEASE)
        run.start("two")
        run.busy("d")
    run.hosts["d"].answer()

    assert run.join().state is JobState.PARTLY_FAILED


def test_a_pause_during_the_canaries_keeps_the_choice(steered):
    run = steered({name: SteeredHost() for name in "abcd"}, options=TWO)
    run.start()
    run.busy("a", "b")
    run.jobs.pause("job")
    run.steer()
    run.join()
    run.advance(LEASE)
    run.jobs.resume("job")

    run.start("two")
    run.busy("a", "b")

    assert (run.hosts["c"].told, run.hosts["d"].told) == ([], [])
