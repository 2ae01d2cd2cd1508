"""Jobs whose hosts get the images by swarm: which of them, how many at once, and what is told to the others."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.conductor.choose_transfers import SwarmDispatch
from precache.core.job_options import Canary, JobOptions, Transfer
from precache.core.jobs import HostAsked, HostEnded, Outcome, TaskResult
from precache.core.operations import Operation
from precache.core.transfer_rules import TransferRules
from precache.rules.group_by_cell import RpcRequirement
from tests.unit.conductor.cloud import BY_SWARM, FIRST, LEASE, SECOND, Cloud, answers
from tests.unit.conductor.steered import SteeredHost

AUTO = SwarmDispatch(TransferRules(), "1.5")
SITE = "edge"


def cloud_of(names, *, answer=Outcome.CACHED, swarm=AUTO, versions="1.5", **options):
    """Return a cloud with these hosts in one cell, and a dictionary that gets the request to each."""
    requests = {}

    def play(name):
        def compute(request):
            requests[name] = request
            return answers(answer)(request)

        return compute

    known = versions if isinstance(versions, dict) else dict.fromkeys(names, versions)
    cells = dict.fromkeys(names, SITE)
    cloud = Cloud({name: play(name) for name in names}, swarm=swarm, versions=known, cells=cells, **options)
    return cloud, requests


def by_swarm(requests):
    return {name for name, request in requests.items() if all(order.options.by_swarm for order in request.orders)}


@pytest.mark.parametrize(
    ("hosts", "transfer", "swarm", "goes_by_swarm"),
    [
        ("abc", Transfer.AUTO, AUTO, True),
        ("ab", Transfer.AUTO, AUTO, False),
        ("ab", Transfer.SWARM, AUTO, True),
        ("abc", Transfer.DIRECT, AUTO, False),
        ("abc", Transfer.SWARM, None, False),
    ],
)
def test_the_orders_of_the_hosts_say_so_if_their_site_was_chosen(hosts, transfer, swarm, goes_by_swarm):
    cloud, requests = cloud_of(hosts, swarm=swarm, images=(FIRST, SECOND), options=JobOptions(transfer=transfer))

    cloud.run()

    assert by_swarm(requests) == (set(hosts) if goes_by_swarm else set())
    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 2 * len(hosts)}


def test_an_older_host_gets_the_order_without_it_and_does_not_count(caplog):
    caplog.set_level("INFO")
    requirement = RpcRequirement(
        needed="1.0", for_options="1.1", for_later_options="1.3", for_end_times="1.4", for_operations="1.4"
    )
    older = {"a": "1.5", "b": "1.4", "c": "1.0", "d": "1.5", "e": "1.6"}
    cloud, requests = cloud_of("abcde", versions=older)
    few, of_few = cloud_of("abcd", versions=older)

    cloud.run(requirement=requirement)
    few.run(requirement=requirement)

    assert by_swarm(requests) == {"a", "d", "e"}
    assert by_swarm(of_few) == set()
    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 5}
    line = "Job job goes by swarm in 1 site of 1, such as edge: 3 hosts can pass images on, and [swarm] min_hosts is 3"
    assert caplog.text.count(line) == 1


def test_other_operations_never_go_by_swarm():
    cloud, requests = cloud_of("abc", swarm=BY_SWARM, answer=Outcome.INTACT, operation=Operation.VERIFY)

    cloud.run()

    assert by_swarm(requests) == set()
    assert set(requests) == set("abc")


def test_a_whole_chain_is_called_at_once_though_there_is_one_usual_turn():
    barrier = threading.Barrier(6)  # passes only if all six calls are under way together

    def compute(request):
        barrier.wait(10)
        return answers(Outcome.CACHED)(request)

    cloud = Cloud(dict.fromkeys("abcdef", compute), concurrency=1, swarm_concurrency=10, swarm=BY_SWARM)

    cloud.run()

    assert cloud.jobs.get("job").counts == {Outcome.CACHED: 6}


def test_hosts_are_called_in_the_given_order_of_their_site(steered):
    swarm = SwarmDispatch(TransferRules(Transfer.SWARM), order=lambda hosts: sorted(hosts, key=lambda host: host.name))
    cells = dict.fromkeys("cab", SITE)
    run = steered({name: SteeredHost() for name in "cab"}, swarm=swarm, concurrency=1, cells=cells)

    run.start()
    for name in "abc":
        run.busy(name)
        assert [other for other, host in run.hosts.items() if host.is_busy.is_set()] == [name]
        run.hosts[name].answer()

    assert run.join().counts == {Outcome.CACHED: 3}


def test_hosts_that_have_ended_and_those_behind_a_canary_count_for_the_choice():
    begun, of_begun = cloud_of("abc")
    claim = begun.jobs.claim("dead", LEASE).claim
    now = begun.clock.now()
    begun.jobs.record(
        claim, [HostAsked("a", SITE, (FIRST,), now), HostEnded("a", (TaskResult(FIRST, Outcome.CACHED),), now)]
    )
    begun.jobs.release(claim)
    canary, of_canary = cloud_of("abc", options=JobOptions(canary=Canary(hosts=1)))

    begun.run()
    canary.run()

    assert by_swarm(of_begun) == {"b", "c"}
    assert by_swarm(of_canary) == {"a", "b", "c"}


def test_a_host_that_failed_is_called_again_by_swarm(steered):
    tries = []

    def fails_once(request):
        tries.append(request)
        if len(tries) == 1:
            return [
                TaskResult(image, Outcome.ERROR, reason="the line broke", may_pass=True) for image in request.images
            ]
        return answers(Outcome.CACHED)(request)

    run = steered({"a": fails_once}, swarm=BY_SWARM, options=JobOptions(retries=1))

    run.start()
    run.wait_until(lambda: run.tasks()["a"].failures == 1)
    run.advance(timedelta(minutes=10))

    assert run.join().counts == {Outcome.CACHED: 1}
    assert [request.orders[0].options.by_swarm for request in tries] == [True, True]


def test_the_limit_of_the_rate_is_of_what_leaves_the_image_service(steered):
    options = JobOptions(job_rate_limit_bytes_per_s=120)
    cells = {name: "edge1" if name in "abcd" else "edge2" for name in "abcdef"}
    run = steered(
        {name: SteeredHost() for name in "abcdef"}, swarm=BY_SWARM, options=options, cells=cells, concurrency=6
    )

    run.start()
    run.busy(*"abcdef")

    rates = {host.requests[0].orders[0].options.rate_limit_bytes_per_s for host in run.hosts.values()}
    assert rates == {60}
