"""Tasks that are tried again: after failures that may pass, while hosts are down; and hosts that begin at random."""

from __future__ import annotations

from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.inventory_memory import MemoryInventory
from precache.conductor.admit_hosts import DOWN_LOOK, RETRY_BACKOFF
from precache.conductor.announce import PROGRESS, START
from precache.core.errors import ComputeUnreachable, InventoryUnavailable, Stopped
from precache.core.job_options import JobOptions, WhenDown
from precache.core.jobs import HostAsked, JobState, Outcome, TaskResult
from tests.unit.conductor.cloud import DOWN_TIME, FIRST, SECOND, answers
from tests.unit.conductor.steered import LONG, SteeredHost

MINUTES = timedelta(minutes=10)
DAY = timedelta(days=1)
WAIT = JobOptions(when_down=WhenDown.WAIT)


class Fails:
    """Answers with what each attempt in a list says; raises it if it is an error."""

    def __init__(self, *attempts):
        self.attempts, self.requests = list(attempts), []

    def __call__(self, request):
        self.requests.append(request)
        attempt = self.attempts.pop(0)
        if isinstance(attempt, Exception):
            raise attempt
        return [TaskResult(image, *attempt.get(image, (Outcome.CACHED,))) for image in request.images]


def broken(image=FIRST, *, may_pass=True):
    return {image: (Outcome.ERROR, 0, "the line broke", None, None, may_pass)}


OK = {}


class TestRetries:
    def test_only_the_image_that_failed_is_tried_again_after_a_wait(self, steered):
        host = Fails(broken(SECOND), OK)
        run = steered({"a": host}, images=(FIRST, SECOND), options=JobOptions(retries=1))
        run.start()
        run.wait_until(lambda: any(task.failures for task in run.jobs.list_tasks("job")))
        first, second = run.jobs.list_tasks("job")
        calls_before = len(host.requests)
        run.advance(MINUTES)
        job = run.join()

        assert (first.outcome, second.outcome, second.reason) == (Outcome.CACHED, None, "the line broke")
        assert calls_before == 1
        assert [request.images for request in host.requests] == [(FIRST, SECOND), (SECOND,)]
        assert (job.state, job.counts) == (JobState.SUCCEEDED, {Outcome.CACHED: 2})
        assert run.cloud.events().count(PROGRESS) == 1
        (told,) = [n.payload["nova_object.data"] for n in run.cloud.notifier.sent if n.event_type == PROGRESS]
        assert set(told["images_cached"]) == {FIRST, SECOND}

    def test_a_task_ends_with_its_last_failure_when_its_retries_are_used_up(self, steered):
        host = Fails(broken(), broken(), broken())
        run = steered({"a": host}, options=JobOptions(retries=2))
        run.start()
        for failures in (1, 2):
            run.wait_until(lambda failures=failures: run.tasks()["a"].failures == failures)
            run.advance(MINUTES)

        assert run.join().state is JobState.FAILED
        task = run.tasks()["a"]
        assert (task.outcome, task.attempts, task.failures) == (Outcome.ERROR, 3, 2)

    @pytest.mark.parametrize(
        ("failure", "is_tried_again"),
        [
            (broken(may_pass=False), False),
            (ComputeUnreachable("a", "no answer"), True),
            (Stopped("Caching"), True),
            (RuntimeError("a bug"), False),
        ],
    )
    def test_it_depends_on_the_failure_whether_it_may_pass(self, steered, failure, is_tried_again):
        host = Fails(failure, OK)
        run = steered({"a": host}, options=JobOptions(retries=5))
        run.start()
        if is_tried_again:
            run.wait_until(lambda: run.tasks()["a"].failures == 1)
            run.advance(MINUTES)

        assert run.join().state is (JobState.SUCCEEDED if is_tried_again else JobState.FAILED)
        assert len(host.requests) == 1 + is_tried_again

    def test_another_conductor_knows_the_failures_before(self, steered):
        host = Fails(broken(), broken())
        run = steered({"a": host}, options=JobOptions(retries=1))
        run.start()
        run.wait_until(lambda: run.tasks()["a"].failures == 1)
        run.jobs.pause("job")
        run.steer()
        run.join()
        run.advance(MINUTES)
        run.jobs.resume("job")

        run.start("two")

        assert run.join().state is JobState.FAILED
        assert len(host.requests) == 2

    def test_waits_grow_from_ten_seconds_to_five_minutes(self):
        waits = [RETRY_BACKOFF.wait_after(failures).total_seconds() for failures in range(1, 11)]

        assert 5 <= waits[0] <= 10
        assert 150 <= waits[-1] <= 300

    def test_a_pause_during_the_wait_is_followed_at_once(self, steered):
        run = steered({"a": Fails(broken())}, options=JobOptions(retries=1))
        run.start()
        run.wait_until(lambda: run.tasks()["a"].failures == 1)

        run.jobs.pause("job")
        run.steer()

        assert run.join().state is JobState.PAUSED


class TestHostsThatAreDown:
    def test_the_others_run_and_then_the_job_waits_for_them(self, steered):
        run = steered({"a": answers(Outcome.CACHED), "b": SteeredHost(), "c": SteeredHost()}, options=WAIT)
        run.advance(DOWN_TIME * 2, down="bc")
        run.start()
        job = run.join()

        assert (job.state, job.counts) == (JobState.WAITING, {Outcome.CACHED: 1})
        assert job.reason == "It waits for 2 hosts that are down, such as b."
        assert job.due_at == run.clock.now() + timedelta(seconds=10)

    def test_a_host_that_comes_up_while_others_run_is_called(self, steered):
        run = steered({"a": SteeredHost(), "b": SteeredHost()}, options=WAIT)
        run.advance(DOWN_TIME * 2, down="b")
        run.start()
        run.busy("a")

        run.advance(DOWN_LOOK)
        run.busy("b")
        run.hosts["a"].answer()
        run.hosts["b"].answer()

        assert run.join().state is JobState.SUCCEEDED

    def test_a_host_that_comes_up_later_is_called_by_the_next_look_and_the_start_is_announced_once(self, steered):
        run = steered({"b": SteeredHost()}, options=WAIT)
        run.advance(DOWN_TIME * 2, down="b")
        for owner in ("one", "two"):
            run.start(owner)
            waiting = run.join()
            assert (waiting.state, waiting.started_at) == (JobState.WAITING, None)
            run.advance(timedelta(seconds=10), down="b")
        assert run.cloud.events() == []

        run.beat("b")
        run.start("three")
        run.busy("b")
        run.hosts["b"].answer()

        assert run.join().state is JobState.SUCCEEDED
        assert run.cloud.events().count(START) == 1

    def test_after_a_day_they_are_skipped(self, steered):
        run = steered({"b": SteeredHost()}, options=WAIT)
        run.advance(timedelta(hours=24), down="b")

        run.start()

        assert run.join().counts == {Outcome.SKIPPED: 1}
        assert "down" in run.tasks()["b"].reason

    def test_the_day_begins_when_the_job_may_first_run(self, steered):
        clock = MemoryClock()
        options = JobOptions(when_down=WhenDown.WAIT, not_before=clock.now() + 2 * DAY)
        run = steered({"b": SteeredHost()}, options=options, clock=clock)
        states = []
        for days in (2, 1):
            run.advance(days * DAY, down="b")
            run.start()
            states.append(run.join().state)

        assert states == [JobState.WAITING, JobState.FAILED]

    def test_at_the_deadline_they_expire(self, steered):
        clock = MemoryClock()
        options = JobOptions(when_down=WhenDown.WAIT, deadline=clock.now() + timedelta(seconds=125))
        run = steered({"b": SteeredHost()}, options=options, clock=clock)
        run.advance(timedelta(seconds=120), down="b")
        run.start()
        due_at = run.join().due_at

        run.advance(timedelta(seconds=5), down="b")
        run.start("two")

        assert due_at == options.deadline
        assert (run.join().state, run.job.counts) == (JobState.EXPIRED, {Outcome.EXPIRED: 1})

    def test_an_inventory_that_does_not_answer_is_asked_at_the_next_look(self, steered):
        class Away(MemoryInventory):
            failures = 0

            def find_hosts(self, names):
                if self.failures:
                    self.failures -= 1
                    raise InventoryUnavailable("http://nova", "connection refused")
                return super().find_hosts(names)

        clock = MemoryClock()
        inventory = Away(clock=clock)
        run = steered({"a": SteeredHost(), "b": SteeredHost()}, options=WAIT, inventory=inventory, clock=clock)
        run.cloud.inventory.set_forced_down("b", forced_down=True)
        run.start()
        run.busy("a")
        run.cloud.inventory.failures = 1
        run.clock.advance(DOWN_LOOK)
        run.wait_until(lambda: run.cloud.inventory.failures == 0)
        run.cloud.inventory.set_forced_down("b", forced_down=False)
        run.clock.advance(DOWN_LOOK)

        run.busy("b")
        run.hosts["a"].answer()
        run.hosts["b"].answer()

        assert run.join().state is JobState.SUCCEEDED

    def test_without_the_option_they_are_skipped(self, steered):
        run = steered({"b": SteeredHost()})
        run.advance(DOWN_TIME * 2, down="b")

        run.start()

        assert run.join().counts == {Outcome.SKIPPED: 1}


def test_each_host_begins_after_its_random_wait(steered):
    run = steered({name: SteeredHost() for name in "abc"}, options=JobOptions(jitter_s=60))
    numbers = iter((0.5, 0.9, 0.0))  # for a and c, which share a cell, and then for b
    run.start(random=lambda: next(numbers))
    run.busy("b")
    early = [name for name, host in run.hosts.items() if host.is_busy.is_set()]

    run.advance(timedelta(seconds=30))
    run.busy("a")
    middle = [name for name, host in run.hosts.items() if host.is_busy.is_set()]
    run.advance(timedelta(seconds=24))
    run.busy("c")
    for host in run.hosts.values():
        host.answer()

    assert (early, middle) == (["b"], ["a", "b"])
    assert run.join().state is JobState.SUCCEEDED


def test_a_host_that_an_earlier_conductor_called_is_joined_without_a_random_wait(steered):
    run = steered({name: SteeredHost() for name in "ab"}, options=JobOptions(jitter_s=60))
    before = run.jobs.claim("before", LONG)
    run.jobs.record(before.claim, [HostAsked("a", "cell1", before.images, run.clock.now())])
    run.jobs.release(before.claim)

    run.start(random=lambda: 0.5)
    run.busy("a")

    assert not run.hosts["b"].is_busy.is_set()
    run.advance(timedelta(seconds=30))
    run.busy("b")
    for host in run.hosts.values():
        host.answer()
    assert run.join().state is JobState.SUCCEEDED
