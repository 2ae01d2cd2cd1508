"""A job that is paused, by an operator or because its window closes: its hosts stop, and it continues later."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, time, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.announce import END, START
from precache.core.errors import ComputeOutdated, ComputeUnreachable, InventoryUnavailable
from precache.core.job_options import Canary, JobOptions, Window
from precache.core.jobs import HostAsked, JobState, Outcome, TaskState
from precache.core.stopping import StopReason
from tests.unit.conductor.cloud import FIRST, LEASE, SECOND, answers
from tests.unit.conductor.steered import SteeredHost

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, A_SECOND = timedelta(hours=1), timedelta(seconds=1)
SHORT = timedelta(seconds=0.3)
AFTERNOON = JobOptions(window=Window(time(12), time(14)))


def pytest_generate_tests(metafunc):
    if "steered" in metafunc.fixturenames:
        metafunc.parametrize("steered", ["direct", "swarm"], indirect=True)


def pause(run):
    run.jobs.pause("job")
    run.steer()
    return run.join()


def test_hosts_stop_and_keep_what_they_have_and_no_other_is_called(steered):
    run = steered({"a": SteeredHost(kept=5), "b": SteeredHost(), "c": SteeredHost(), "d": SteeredHost()}, concurrency=2)
    run.start()
    run.busy("a", "b")

    job = pause(run)

    assert (job.state, job.reason, job.due_at) == (JobState.PAUSED, "", None)
    assert [host.told for host in run.hosts.values()] == [["cache", "pause"]] * 2 + [[]] * 2
    tasks = run.tasks()
    assert {task.state for task in tasks.values()} == {TaskState.WAITING}
    assert [(tasks[name].bytes_done, tasks[name].attempts) for name in "abcd"] == [(5, 1), (0, 1), (0, 0), (0, 0)]
    assert run.cloud.events() == [START]
    assert run.jobs.claim("two", LEASE) is None


def test_an_image_that_was_done_stays_done_and_only_the_other_is_called_for_again(steered):
    host = SteeredHost(done=(FIRST,), kept=7)
    run = steered({"a": host}, images=(FIRST, SECOND))
    run.start()
    run.busy("a")
    pause(run)

    run.advance(A_SECOND)
    run.jobs.resume("job")
    run.start("two")
    run.busy("a")
    host.answer()
    job = run.join()

    assert [request.images for request in host.requests] == [(FIRST, SECOND), (SECOND,)]
    assert (job.state, job.counts, job.reason) == (JobState.SUCCEEDED, {Outcome.CACHED: 2}, "")
    assert [task.attempts for task in run.jobs.list_tasks("job")] == [1, 2]
    assert (run.cloud.events().count(START), run.cloud.events()[-1]) == (1, END)


def test_a_job_whose_last_host_ended_at_the_pause_has_ended(steered):
    run = steered({"a": SteeredHost(done=(FIRST,))})
    run.start()
    run.busy("a")

    assert pause(run).state is JobState.SUCCEEDED


def test_a_job_that_is_resumed_while_it_is_being_paused_is_queued(steered):
    run = steered({"a": SteeredHost()})
    run.start()
    run.busy("a")
    run.jobs.pause("job")
    run.jobs.resume("job")
    run.control.work.cancel(StopReason.PAUSED)

    assert run.join().state is JobState.QUEUED


def test_a_job_that_is_cancelled_while_it_is_being_paused_is_ended_by_the_next_conductor(steered):
    run = steered({"a": SteeredHost(kept=5)})
    run.start()
    run.busy("a")
    run.jobs.pause("job")
    run.jobs.cancel("job")
    run.control.work.cancel(StopReason.PAUSED)
    queued = run.join()

    run.start("two")
    job = run.join()

    assert queued.state is JobState.QUEUED
    assert (job.state, job.counts) == (JobState.CANCELLED, {Outcome.CANCELLED: 1})
    assert run.hosts["a"].told == ["cache", "pause", "cancel", "ask"]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (ComputeUnreachable("a", "connection refused"), "connection refused"),
        (ComputeOutdated("a", "1.3", "1.2"), "its compute speaks version 1.2"),
    ],
)
def test_a_host_that_does_not_confirm_is_named_and_delays_nothing(steered, caplog, trouble, words):
    run = steered({"a": SteeredHost(trouble=trouble), "b": SteeredHost(kept=3)})
    run.start(cancel_patience=SHORT)
    run.busy("a", "b")

    job = pause(run)

    assert job.state is JobState.PAUSED
    assert "A transfer may go on until it ends on 1 host, such as a, which did not confirm the stop" in job.reason
    assert words in job.reason
    assert "Job job may go on on host a" in caplog.text
    assert {name: task.state for name, task in run.tasks().items()} == {"a": TaskState.WAITING, "b": TaskState.WAITING}
    assert run.tasks()["b"].bytes_done == 3


def test_a_call_that_fails_at_the_pause_is_no_failure_of_the_task(steered):
    class Dies(SteeredHost):
        def _results(self, request):
            raise ComputeUnreachable("a", "died")

    run = steered({"a": Dies()})
    run.start()
    run.busy("a")

    assert pause(run).state is JobState.PAUSED
    assert (run.tasks()["a"].state, run.tasks()["a"].failures) == (TaskState.WAITING, 0)


def test_after_a_takeover_the_hosts_of_a_paused_job_are_told_and_asked_what_they_have(steered):
    host = SteeredHost(kept=5)
    run = steered({"a": host, "b": SteeredHost()})
    dead = run.jobs.claim("dead", LEASE)
    run.jobs.record(dead.claim, [HostAsked("a", "cell1", (FIRST,), run.clock.now())])
    run.jobs.pause("job")
    run.clock.advance(LEASE)

    run.start("heir")
    job = run.join()

    assert job.state is JobState.PAUSED
    # The dead conductor may have called host b as well, and not recorded it.
    assert (host.told, run.hosts["b"].told) == (["pause", "ask"], ["pause"])
    assert run.tasks()["a"].bytes_done == 5


def test_a_job_that_is_paused_again_tells_only_the_hosts_that_it_has_called(steered):
    run = steered({name: SteeredHost() for name in "abc"}, concurrency=1)
    run.start()
    run.busy("a")
    pause(run)
    run.advance(A_SECOND)
    run.jobs.resume("job")
    run.start("two")
    run.busy("a")

    pause(run)

    assert [host.told for host in run.hosts.values()] == [["cache", "pause"] * 2, [], []]


def test_a_process_that_stops_during_a_pause_leaves_it_to_the_next_conductor(steered):
    host = SteeredHost(trouble=ComputeUnreachable("a", "connection refused"))
    run = steered({"a": host})
    run.start(stop_patience=timedelta())
    run.busy("a")
    run.jobs.pause("job")
    run.steer()
    run.wait_until(lambda: "pause" in host.told)

    run.control.stop.cancel(StopReason.SHUTDOWN)
    stopped = run.join()
    host.answer(None)
    host.trouble = None
    run.start("next")
    job = run.join()

    assert (stopped.state, job.state) == (JobState.QUEUED, JobState.PAUSED)


@pytest.mark.parametrize("options", [JobOptions(), JobOptions(canary=Canary(hosts=1))])
def test_an_inventory_that_is_unavailable_does_not_keep_a_job_from_being_paused(steered, options):
    class Away(MemoryInventory):
        is_asked = threading.Event()

        def find_hosts(self, names):
            if not self.is_away:
                return super().find_hosts(names)
            self.is_asked.set()
            raise InventoryUnavailable("http://nova/v2.1", "connection refused")

    Away.is_away = False
    clock = MemoryClock()
    run = steered({"a": SteeredHost()}, clock=clock, inventory=Away(clock=clock), options=options)
    Away.is_away = True
    run.start()
    assert Away.is_asked.wait(10)

    assert pause(run).state is JobState.PAUSED


class TestWindow:
    def test_a_job_outside_its_window_waits_and_calls_no_host(self, steered):
        run = steered({"a": SteeredHost()}, clock=MemoryClock(start=NOON - HOUR), options=AFTERNOON)

        run.start()
        job = run.join()

        assert (job.state, job.due_at, job.started_at) == (JobState.WAITING, NOON, None)
        assert job.reason == "Its window opens at 2026-01-01T12:00:00Z."
        assert run.hosts["a"].told == []
        assert run.cloud.events() == []

    def test_a_job_pauses_when_its_window_closes_and_resumes_when_it_opens(self, steered):
        host = SteeredHost(kept=5)
        run = steered({"a": host}, clock=MemoryClock(start=NOON + HOUR), options=AFTERNOON)
        run.start()
        run.busy("a")

        run.advance(HOUR)
        closed = run.join()
        run.advance(22 * HOUR)
        run.start("two")
        run.busy("a")
        host.answer()
        job = run.join()

        assert (closed.state, closed.due_at) == (JobState.WAITING, NOON + 24 * HOUR)
        assert host.told == ["cache", "pause", "cache"]
        assert job.state is JobState.SUCCEEDED
        assert run.cloud.events().count(START) == 1

    def test_a_job_waits_for_the_time_before_which_it_may_not_begin(self, steered):
        run = steered({"a": answers(Outcome.CACHED)}, options=JobOptions(not_before=NOON))

        run.start()
        waiting = run.join()
        run.advance(NOON - run.clock.now())
        run.start()

        assert (waiting.state, waiting.due_at) == (JobState.WAITING, NOON)
        assert run.join().state is JobState.SUCCEEDED

    def test_a_job_is_looked_at_at_its_deadline_while_it_waits_or_is_paused(self, steered):
        options = JobOptions(not_before=NOON + HOUR, deadline=NOON)
        waiting = steered({"a": SteeredHost()}, options=options)
        waiting.start()
        paused = steered({"a": SteeredHost()}, options=JobOptions(deadline=NOON))
        paused.start()
        paused.busy("a")

        assert waiting.join().due_at == NOON
        assert pause(paused).due_at == NOON


class TestDeadline:
    def test_what_is_left_ends_as_expired_with_the_number_of_hosts_that_are_ready(self, steered):
        run = steered(
            {"a": SteeredHost(), "b": SteeredHost(done=(FIRST,), kept=4), "c": SteeredHost()},
            images=(FIRST, SECOND),
            options=JobOptions(deadline=NOON, parallelism=2),
        )
        run.start()
        run.busy("a", "b")
        run.hosts["a"].answer()
        run.busy("c")

        run.advance(NOON - run.clock.now())
        job = run.join()

        assert (job.state, job.reason) == (JobState.EXPIRED, "The deadline passed: 1 of 3 hosts are ready.")
        assert job.counts == {Outcome.CACHED: 2, Outcome.EXPIRED: 4}
        assert [host.told for host in run.hosts.values()] == [["cache"], ["cache", "cancel"], ["cache", "cancel"]]
        assert run.cloud.events()[-1] == END

    @pytest.mark.parametrize("state", [JobState.WAITING, JobState.PAUSED])
    def test_a_job_that_waits_or_is_paused_expires_too(self, steered, state):
        run = steered({"a": SteeredHost(kept=5), "b": SteeredHost()}, options=JobOptions(deadline=NOON), concurrency=1)
        run.start()
        run.busy("a")
        pause(run)
        if state is JobState.WAITING:
            run.jobs.resume("job")
            run.jobs.release(run.jobs.claim("x", LEASE).claim, state=state, due_at=NOON)

        run.advance(NOON - run.clock.now())
        run.start("two")
        job = run.join()

        assert (job.state, job.counts) == (JobState.EXPIRED, {Outcome.EXPIRED: 2})
        assert job.reason == "The deadline passed: 0 of 2 hosts are ready."
        # What it kept for the job is removed there.
        assert run.hosts["a"].told == ["cache", "pause", "cancel", "ask"]

    def test_a_job_that_never_began_expires(self, steered):
        run = steered({"a": SteeredHost()}, options=JobOptions(deadline=NOON))
        run.advance(NOON - run.clock.now())

        run.start()

        assert run.join().state is JobState.EXPIRED
        assert (run.hosts["a"].told, run.tasks()["a"].cell) == ([], "cell1")
        assert run.cloud.events()[0] == START

    def test_a_job_whose_tasks_have_ended_before_the_deadline_has_not_expired(self, steered):
        run = steered({"a": SteeredHost(done=(FIRST,))}, options=JobOptions(deadline=NOON))
        run.hosts["a"].cancel_job = lambda job_id, retry_count: run.hosts["a"].answer()
        run.join_host("a", run.hosts["a"])
        run.start()
        run.busy("a")

        run.advance(NOON - run.clock.now())

        assert (run.join().state, run.job.reason) == (JobState.SUCCEEDED, "")

    def test_after_a_takeover_the_hosts_that_were_ready_before_count(self, steered):
        run = steered({"a": SteeredHost(), "b": SteeredHost(), "c": SteeredHost()}, options=JobOptions(deadline=NOON))
        run.start()
        run.busy("a", "b", "c")
        run.hosts["a"].answer()
        run.hosts["b"].answer(Outcome.ERROR)
        run.wait_until(lambda: len(run.job.counts) == 2)
        pause(run)
        run.advance(NOON - run.clock.now())

        run.start("two")

        assert run.join().reason == "The deadline passed: 1 of 3 hosts are ready."
