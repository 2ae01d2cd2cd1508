"""The number of statements does not grow with the hosts of a job, nor with each name that is asked for."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from precache.core.host_calls import CallLimits, HostCall, JobCalls, Place
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.job_hosts import JobHostFilter
from precache.core.jobs import (
    Claim,
    HostAsked,
    HostEnded,
    JobState,
    Outcome,
    Phase,
    TaskProgress,
    TaskResult,
    TaskState,
)
from precache.core.relays import Form, ReportKind
from tests.contract.cache_values import beat, change, entry, full
from tests.contract.job_values import LEASE, NOW, claim, job_id, new_job, since
from tests.relay_site import RelaySite

IMAGES = tuple(parse_image_id(str(UUID(int=number))) for number in range(2))
RUNNING = JobHostFilter(state=TaskState.RUNNING)
FEW, MANY, VERY_MANY = 2, 200, 2000
ALLOWED = 12


@pytest.fixture
def stores(database_stores):
    return database_stores


@pytest.fixture
def cost(stores):
    """Return a function that calls another and returns how many statements that took.

    SQLite's BEGIN does not count: it is no round trip, and the servers' drivers send none.
    """
    statements = []

    def note(*args):
        if not args[2].startswith("BEGIN"):
            statements.append(args[2])

    event.listen(stores.database.engine, "before_cursor_execute", note)

    def count(call):
        statements.clear()
        call()
        return len(statements)

    return count


def test_a_job_of_hundreds_of_hosts_takes_as_many_statements_as_one_of_two(stores, cost):
    few = cost_of_a_life(stores, cost, number=1, host_count=FEW)
    many = cost_of_a_life(stores, cost, number=2, host_count=MANY)

    assert many == few
    assert max(many.values()) <= ALLOWED
    assert [many[step] for step in ("steering", "check")] == [1, 1]  # read every second, for each running job


def test_a_look_for_notices_takes_one_statement_when_there_are_none(stores, cost):
    assert cost(lambda: stores.notices.oldest(100)) == 1


def test_a_job_of_thousands_takes_some_more_for_each_thousand(stores, cost):
    few = cost_of_a_life(stores, cost, number=1, host_count=FEW)
    very_many = cost_of_a_life(stores, cost, number=2, host_count=VERY_MANY)

    assert sum(very_many.values()) - sum(few.values()) <= VERY_MANY // 100


def cost_of_a_life(stores, cost, number, host_count):
    """Run a job from the request to its end, and return the statements of each step."""
    job, claims = job_id(number), stores.claims
    stores.clock.set(NOW)

    def own(token):
        return Claim(job, "me", token)

    hosts = [f"cmp-{place}" for place in range(host_count)]
    results = tuple(TaskResult(image, Outcome.CACHED, 1) for image in IMAGES)
    reports = [TaskProgress(job, host, IMAGES[0], Phase.DOWNLOADING, 1, 2, "cell1") for host in hosts]
    asked = [HostAsked(host, "cell1", IMAGES, NOW + timedelta(seconds=i)) for i, host in enumerate(hosts)]
    return {
        "add": cost(lambda: stores.intake.add(new_job(number, hosts=hosts, images=IMAGES))),
        "claim": cost(lambda: claim(stores, "dead")),
        "take over": cost(lambda: claim(stores, at=NOW + LEASE)),
        "remaining": cost(lambda: claims.remaining(own(2))),
        "asked": cost(lambda: claims.record(own(2), asked)),
        "note": cost(lambda: stores.progress.note(reports)),
        "tasks": cost(lambda: stores.queries.list_tasks(job, limit=len(IMAGES) * host_count)),
        "a page of tasks": cost(lambda: stores.queries.list_tasks(job, marker=(hosts[-2], IMAGES[0]))),
        "a page of hosts": cost(lambda: stores.queries.list_hosts(job, limit=100)),
        "running hosts": cost(lambda: stores.queries.list_hosts(job, only=RUNNING, limit=100)),
        "show": cost(lambda: stores.queries.get(job)),
        "ended": cost(lambda: claims.record(own(2), [HostEnded(host, results, NOW) for host in hosts])),
        "extend": cost(lambda: stores.leases.extend([own(2)], LEASE)),
        "steering": cost(lambda: stores.leases.steering([own(2)])),
        "cancel": cost(lambda: stores.steering.cancel(job)),
        "get": cost(lambda: stores.queries.get(job)),
        "check": cost(lambda: claims.check(own(2))),
        "finish": cost(lambda: claims.finish(own(2), JobState.SUCCEEDED)),
    }


def test_a_job_of_ten_thousand_tasks_is_cancelled_in_as_many_statements_as_one_of_four(stores, cost):
    for number, host_count in ((1, FEW), (2, 5000)):
        hosts = [f"cmp-{place}" for place in range(host_count)]
        stores.intake.add(new_job(number, hosts=hosts, images=IMAGES))

    few, many = (cost(lambda number=number: stores.steering.cancel(job_id(number))) for number in (1, 2))

    assert many == few <= ALLOWED
    assert stores.queries.get(job_id(2)).counts == {Outcome.CANCELLED: 10_000}


def test_hundreds_of_heartbeats_take_as_many_statements_as_two(stores, cost):
    def cost_of_beats(first, count):
        names = [f"cmp-{number}" for number in range(first, first + count)]
        return [
            cost(
                lambda: stores.host_reports.store_heartbeats(
                    [Heartbeat(name, "cell1", "libvirt", NOW) for name in names]
                )
            )
            for _ in range(2)
        ]

    new_cell = cost_of_beats(0, 1)
    few = cost_of_beats(10, FEW)
    many = cost_of_beats(1000, MANY)

    assert many == few
    assert max(*many, *new_cell) <= ALLOWED


def test_a_cell_goes_with_hundreds_of_hosts_in_as_many_statements_as_with_two(stores, cost):
    def cost_of_a_cell(name, count):
        stores.host_reports.store_heartbeats(
            [Heartbeat(f"{name}-{number}", name, "fake", NOW) for number in range(count)]
        )
        return cost(lambda: stores.cells.delete_cell(name, since(stores, NOW + timedelta(seconds=1))))

    cost_of_a_cell("first", FEW)  # inserts the row to lock
    few = cost_of_a_cell("small", FEW)
    many = cost_of_a_cell("large", MANY)

    assert many == few <= ALLOWED


def test_reports_of_hundreds_of_caches_take_less_than_a_tenth_of_a_statement_each(stores, cost):
    hosts, numbers = [f"cmp-{number}" for number in range(MANY)], range(1, 51)
    beat(stores, *hosts)
    changed = entry(1, disks=7)

    def cost_of(make):
        return cost(lambda: stores.cache_reports.store_reports([make(host) for host in hosts]))

    new = cost_of(lambda host: full(*numbers, host=host))
    same = cost_of(lambda host: full(*numbers, host=host, sequence=2))
    of_changes = cost_of(lambda host: change(changed, host=host, base=2, sequence=3, gone=[50]))

    assert stores.caches.list_images()[0].numbers.present == MANY
    assert new <= MANY // 10
    assert same <= 5
    assert of_changes <= ALLOWED


def test_a_page_of_fifty_jobs_takes_as_many_statements_as_one_of_two(stores, cost):
    for number in range(50):
        stores.intake.add(new_job(number))

    assert cost(lambda: stores.queries.list_jobs(limit=50)) == cost(lambda: stores.queries.list_jobs(limit=2))


def test_hosts_are_found_by_hundreds_at_once(stores, cost):
    assert cost(lambda: stores.hosts.find_hosts([f"cmp-{number}" for number in range(3000)])) <= ALLOWED


def test_aggregates_are_listed_in_a_constant_number_of_statements(stores, cost):
    stores.aggregate_changes.create_aggregate("first", {"a": "b"}, NOW)
    few = cost(stores.aggregates.list_aggregates)
    for number in range(20):
        stores.aggregate_changes.create_aggregate(f"rack-{number}", {"a": "b"}, NOW)

    assert cost(stores.aggregates.list_aggregates) == few


def test_an_exchange_of_permits_takes_few_statements_for_any_number_of_hosts(stores, cost):
    stores.intake.add(new_job())
    of_job = claim(stores).claim
    permits = stores.permits(CallLimits(hosts=VERY_MANY), timedelta(hours=1))
    hosts = tuple(HostCall(f"host-{number}", Place("cell1", f"site-{number % 100}")) for number in range(2 * VERY_MANY))
    held: list[HostCall] = []

    def exchange():
        given = permits.exchange([JobCalls(of_job, 50, tuple(held), hosts, room=VERY_MANY)])
        held[:] = given[of_job] or held[VERY_MANY // 2 :]

    exchange()  # inserts the row to lock

    assert max(cost(exchange) for _ in range(3)) <= 5  # with those that begin a transaction


def test_a_change_of_the_state_of_a_job_costs_one_statement_for_its_notice(stores):
    written = []
    event.listen(
        stores.database.engine,
        "before_cursor_execute",
        lambda *args: written.append(args[2]) if "INSERT INTO job_notices" in args[2] else None,
    )

    def notices_of(change):
        written.clear()
        change()
        return len(written)

    steering, job = stores.steering, job_id(1)
    assert [
        notices_of(lambda: stores.intake.add(new_job(1))),
        notices_of(lambda: steering.pause(job)),
        notices_of(lambda: steering.resume(job)),
        notices_of(lambda: claim(stores)),
        notices_of(lambda: stores.claims.release(Claim(job, "me", 1))),
        notices_of(lambda: claim(stores)),
        notices_of(lambda: steering.cancel(job)),  # only a request
        notices_of(lambda: stores.claims.finish(Claim(job, "me", 2), JobState.FAILED)),
        notices_of(lambda: steering.retry(job)),
    ] == [1, 1, 1, 1, 1, 1, 0, 1, 1]


def test_storing_the_sites_of_hosts_of_hundreds_of_hosts_takes_few_statements(stores, cost):
    def store(count):
        stores.host_sites.store_sites({f"cmp-{number}": f"site-{count}" for number in range(count)})

    stores.host_reports.store_heartbeats([Heartbeat(f"cmp-{number}", "east", "fake", NOW) for number in range(MANY)])

    assert cost(lambda: store(MANY)) <= ALLOWED
    assert cost(lambda: store(FEW)) <= ALLOWED
    assert cost(lambda: store(FEW)) <= 2  # nothing has changed


def test_messages_of_hosts_in_a_relay_take_as_many_statements_whatever_its_size(stores, cost):
    site = RelaySite(stores, hosts=60, conductors=1)

    few = cost_of_a_relay(site, cost, hosts=6, form=Form.RAW)
    more = cost_of_a_relay(site, cost, hosts=60, form=Form.AS_IS)

    assert more == few
    assert more["nothing new"] <= 2  # one of them SQLite's own
    assert max(more.values()) <= 9


def cost_of_a_relay(site, cost, hosts, form):
    """Return what messages of its hosts cost, in statements."""
    places = [site.join(number, form=form) for number in range(hosts - 1)]
    site.report(places[3])
    return {
        "join": cost(lambda: site.join(hosts - 1, form=form)),
        "nothing new": cost(lambda: site.report(places[3], have_bytes=5)),
        "slow": cost(lambda: site.report(places[3], ReportKind.SLOW, have_bytes=5, offered_bytes=9)),
        "left": cost(lambda: site.report(places[3], ReportKind.LEFT)),
    }


def test_a_look_for_silent_hosts_takes_one_statement_now_and_then_when_there_are_none(stores, cost):
    site = RelaySite(stores)
    watch = site.watch()
    watch()
    looks = []
    for _ in range(10):
        site.pass_s(1)
        looks.append(cost(watch))

    assert sum(looks) == 2
