"""Options that an operator changes while the job runs, and the shares of its hosts in the limit of its rate."""

from __future__ import annotations

from datetime import timedelta

from precache.adapters.computes_inprocess import InProcessComputes
from precache.core.errors import ComputeOutdated
from precache.core.job_changes import JobChange
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState, Outcome, TaskResult, TaskState
from precache.core.orders import ImageOrder, OrderOptions
from tests.played_host import PlayedHost
from tests.unit.conductor.cloud import FIRST, SECOND, answers
from tests.unit.conductor.steered import SteeredHost


def change(run, **document):
    run.jobs.change("job", JobChange(document))
    run.steer()


def test_a_higher_parallelism_calls_more_hosts(steered):
    run = steered({name: SteeredHost() for name in "abc"}, options=JobOptions(parallelism=1))
    run.start()
    run.busy("a")
    before = [name for name, host in run.hosts.items() if host.told]

    change(run, parallelism=3)
    run.busy("b", "c")

    assert before == ["a"]


def test_a_lower_parallelism_pauses_the_hosts_that_began_last_and_calls_them_later(steered):
    run = steered({name: SteeredHost(kept=5) for name in "abc"})
    run.start()
    run.busy(*"abc")

    change(run, parallelism=1)
    run.wait_until(lambda: sum(host.told == ["cache", "pause"] for host in run.hosts.values()) == 2)
    run.wait_until(lambda: sum(task.state is TaskState.WAITING for task in run.tasks().values()) == 2)
    (first,) = [name for name, host in run.hosts.items() if host.told == ["cache"]]
    kept = {name: task.bytes_done for name, task in run.tasks().items() if name != first}
    before = [len(host.requests) for host in run.hosts.values()]
    for _ in "abc":
        run.wait_until(lambda: any(host.is_busy.is_set() for host in run.hosts.values()))
        (busy,) = [host for host in run.hosts.values() if host.is_busy.is_set()]
        busy.answer()
        run.wait_until(lambda busy=busy: not busy.is_busy.is_set())

    assert run.join().state is JobState.SUCCEEDED
    assert (list(kept.values()), before) == ([5, 5], [1, 1, 1])
    assert [host.told for name, host in run.hosts.items() if name != first] == [["cache", "pause", "cache"]] * 2


def test_a_host_that_cannot_be_paused_finishes_and_the_job_goes_on(steered, caplog):
    run = steered({name: SteeredHost(trouble=ComputeOutdated(name, "1.3", "1.2")) for name in "ab"})
    run.start()
    run.busy("a", "b")

    change(run, parallelism=1)
    run.wait_until(lambda: "finishes its images for job job" in caplog.text)
    for host in run.hosts.values():
        host.answer()

    assert run.join().state is JobState.SUCCEEDED
    assert sorted(len(host.told) for host in run.hosts.values()) == [1, 2]


def test_a_deadline_that_is_brought_forward_ends_the_job(steered):
    run = steered({"a": SteeredHost()})
    deadline = run.clock.now() + timedelta(hours=1)
    run.start()
    run.busy("a")

    change(run, deadline=deadline.isoformat())
    run.wait_until(lambda: run.control.revision == 1)
    run.advance(timedelta(hours=1))

    assert run.join().state is JobState.EXPIRED


def test_a_window_that_is_closed_now_pauses_the_job(steered):
    run = steered({"a": SteeredHost()})
    run.start()
    run.busy("a")

    change(run, window={"from": "12:00", "to": "14:00"})

    assert run.join().state is JobState.WAITING
    assert run.hosts["a"].told == ["cache", "pause"]


def test_a_new_rate_is_told_to_the_hosts_that_run_and_used_for_the_next(steered):
    orders = (ImageOrder(FIRST, OrderOptions(rate_limit_bytes_per_s=100)), ImageOrder(SECOND))
    run = steered({"a": SteeredHost(), "b": SteeredHost()}, orders=orders, options=JobOptions(parallelism=1))
    run.start()
    run.busy("a")

    change(run, rate_limit_bytes_per_s=70)
    run.wait_until(lambda: run.hosts["a"].rates)
    run.hosts["a"].answer()
    run.busy("b")

    assert run.hosts["a"].rates == [{FIRST: 70, SECOND: 70}]
    assert [order.options.rate_limit_bytes_per_s for order in run.hosts["b"].requests[0].orders] == [70, 70]


def test_hosts_share_the_limit_of_the_job_and_get_more_when_fewer_are_left(steered):
    options = JobOptions(job_rate_limit_bytes_per_s=120, parallelism=3)
    run = steered({name: SteeredHost() for name in "abc"}, options=options)
    run.start()
    run.busy("a", "b", "c")
    first = [host.requests[0].orders[0].options.rate_limit_bytes_per_s for host in run.hosts.values()]

    run.hosts["a"].answer()
    run.wait_until(lambda: run.hosts["b"].rates and run.hosts["c"].rates)
    change(run, job_rate_limit_bytes_per_s=None)
    run.wait_until(lambda: len(run.hosts["b"].rates) >= 2 and run.hosts["b"].rates[-1] == {FIRST: None})

    assert first == [40, 40, 40]
    assert run.hosts["b"].rates[0] == {FIRST: 60}
    assert run.hosts["a"].rates == []


def test_the_shares_go_by_the_hosts_that_their_sites_let_work_at_once(steered):
    options = JobOptions(job_rate_limit_bytes_per_s=120, parallelism_per_site=1)
    run = steered({name: SteeredHost() for name in "abcd"}, options=options)
    run.start()
    run.wait_until(lambda: sum(len(host.requests) for host in run.hosts.values()) == 2)

    rates = [each.orders[0].options.rate_limit_bytes_per_s for host in run.hosts.values() for each in host.requests]

    assert rates == [60, 60]


def test_an_old_host_keeps_its_rate_and_is_told_once(steered, caplog):
    class Old(SteeredHost):
        def limit_job(self, job_id, rates, call):
            super().limit_job(job_id, rates, call)
            raise ComputeOutdated("a", "1.3", "1.2")

    run = steered({"a": Old(), "b": SteeredHost()})
    run.start()
    run.busy("a", "b")

    change(run, rate_limit_bytes_per_s=70)
    run.wait_until(lambda: "Host a keeps its former rates for job job" in caplog.text)
    change(run, rate_limit_bytes_per_s=90)
    run.wait_until(lambda: len(run.hosts["b"].rates) == 2)
    for host in run.hosts.values():
        host.answer()

    assert run.join().state is JobState.SUCCEEDED
    assert run.hosts["a"].rates == [{FIRST: 70}]


def test_the_priority_of_the_job_and_its_retry_are_sent_to_the_hosts(steered):
    run = steered({"a": SteeredHost()}, options=JobOptions(priority=80))
    run.start()
    run.busy("a")
    run.jobs.cancel("job")
    run.steer()
    run.join()
    run.jobs.retry("job")
    run.start("two")
    run.busy("a")

    requests = run.hosts["a"].requests
    assert [(request.priority, request.retry_count) for request in requests] == [(80, 0), (80, 1)]


def test_a_host_applies_new_rates_to_a_call_for_which_its_orders_were_read_before(steered):
    class Overtaken(InProcessComputes):
        def process_images(self, request):
            self.limit(request.job_id, request.host, request.cell, {FIRST: 5})
            return super().process_images(request)

    numbers = []
    run = steered({"a": answers(Outcome.CACHED)})
    run.cloud.gateway = Overtaken()

    def process_images(request):
        numbers.append(request.call)
        return [TaskResult(FIRST, Outcome.CACHED)]

    run.cloud.gateway.join("a", PlayedHost(process_images, limit_job=lambda _job, _rates, call: numbers.append(call)))

    run.start()
    run.join()

    limited, called = numbers
    assert called.precedes(limited)
