"""The number of statements does not grow with the hosts of a job, nor with each name that is asked for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from precache.adapters.inventory_sql import SqlAggregateChanges, SqlAggregateQueries, SqlHosts
from precache.adapters.jobs_sql import SqlJobClaims, SqlJobIntake, SqlJobQueries, SqlProgressLog
from precache.adapters.sql import open_database, upgrade
from precache.core.images import parse_image_id
from precache.core.jobs import JobState, NewJob, Outcome, Phase, TaskProgress, TaskResult

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
IMAGES = tuple(parse_image_id(str(UUID(int=number))) for number in range(2))


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path}/precache.sqlite")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def cost(database):
    """Give a function that calls another and says how many statements that took."""
    statements = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def count(call):
        statements.clear()
        call()
        return len(statements)

    return count


def test_a_job_of_two_thousand_hosts_takes_as_many_statements_as_one_of_two(database, cost):
    small = cost_of_a_life(database, cost, number=1, host_count=2)
    large = cost_of_a_life(database, cost, number=2, host_count=2000)

    assert large == small
    assert max(large.values()) <= 10


def cost_of_a_life(database, cost, number, host_count):
    """Lead a job from the door to the end, and give the statements of each step."""
    intake, queries = SqlJobIntake(database=database), SqlJobQueries(database=database)
    claims, log = SqlJobClaims(database=database), SqlProgressLog(database=database)
    job = str(UUID(int=number))
    hosts = tuple(f"cmp-{place}" for place in range(host_count))
    new = NewJob(job, 1, str(UUID(int=9)), "rack", hosts, IMAGES, "admin", "req-1", NOW)
    results = [TaskResult(image, Outcome.CACHED, 1) for image in IMAGES]
    reports = [TaskProgress(job, host, IMAGES[0], Phase.DOWNLOADING, 1, 2) for host in hosts]
    return {
        "add": cost(lambda: intake.add(new)),
        "claim": cost(lambda: claims.claim("dead", NOW, LEASE)),
        "take over": cost(lambda: claims.claim("me", NOW + LEASE, LEASE)),
        "waiting": cost(lambda: claims.waiting_tasks(job)),
        "start": cost(lambda: claims.start_tasks(job, "me", hosts[0], "cell1", IMAGES, NOW)),
        "note": cost(lambda: log.note(reports)),
        "tasks": cost(lambda: queries.tasks(job)),
        "end": cost(lambda: claims.end_tasks(job, "me", hosts[0], results, NOW)),
        "get": cost(lambda: queries.get(job)),
        "finish": cost(lambda: claims.finish(job, "me", JobState.SUCCEEDED, NOW)),
    }


def test_a_page_of_fifty_jobs_takes_as_many_statements_as_one_of_two(database, cost):
    intake, queries = SqlJobIntake(database=database), SqlJobQueries(database=database)
    for number in range(50):
        intake.add(NewJob(str(UUID(int=number)), 1, "", "rack", ("cmp-1",), IMAGES, "admin", "req-1", NOW))

    assert cost(lambda: queries.list_jobs(limit=50)) == cost(lambda: queries.list_jobs(limit=2))


def test_hosts_are_found_by_hundreds_at_once(database, cost):
    inventory = SqlHosts(database=database)

    assert cost(lambda: inventory.find_hosts([f"cmp-{number}" for number in range(3000)])) <= 6


def test_aggregates_are_listed_in_a_constant_number_of_statements(database, cost):
    changes, queries = SqlAggregateChanges(database=database), SqlAggregateQueries(database=database)
    changes.create_aggregate("first", {"a": "b"}, NOW)
    few = cost(queries.list_aggregates)
    for number in range(20):
        changes.create_aggregate(f"rack-{number}", {"a": "b"}, NOW)

    assert cost(queries.list_aggregates) == few
