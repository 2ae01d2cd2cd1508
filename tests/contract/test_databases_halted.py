"""What one conductor holds, or believes of the time, must not cost another its leases and hosts: on real servers."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select

from precache.adapters.inventory_sql import SqlHosts
from precache.adapters.jobs_sql import (
    SqlJobClaims,
    SqlJobIntake,
    SqlJobLeases,
    SqlJobQueries,
    SqlJobSteering,
    SqlProgressLog,
)
from precache.adapters.sql import open_database
from precache.adapters.sql.limits import Limits
from precache.adapters.sql.tables import jobs
from precache.core.errors import StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.jobs import HostAsked, HostEnded, JobState, Outcome, Phase, TaskProgress, TaskResult
from precache.core.stopping import StopReason
from precache.ports.job_store import Steering
from tests.contract.job_values import DEBIAN, LEASE, NOW, SECOND, SetClock, job_id, new_job

pytestmark = pytest.mark.external

SOON = Limits(statement=timedelta(seconds=10), lock=SECOND, patience=timedelta())
HOUR = timedelta(hours=1)
DOWN_TIME = timedelta(seconds=60)
STEPS = [HostAsked(f"cmp-{number}", "cell1", (DEBIAN,), NOW) for number in (1, 2)]


@pytest.fixture(params=["postgresql_url", "mariadb_url"])
def opened(request):
    """Return what opens the empty database once more, as another process would."""
    url = request.getfixturevalue(request.param)
    with contextlib.ExitStack() as stack:

        def open_again(clock=None):
            database = open_database(url, limits=SOON, clock=clock)
            stack.callback(database.close)
            return database

        yield open_again


@pytest.fixture
def held_jobs(opened):
    """Two jobs that `me` holds, with their tasks running; return the claims."""
    database = opened()
    intake, claims = SqlJobIntake(database=database), SqlJobClaims(database=database)
    for number in (1, 2):
        intake.add(new_job(number, images=(DEBIAN,), created_at=NOW + number * SECOND))
    mine = [claims.claim("me", LEASE).claim for _ in range(2)]
    for claim in mine:
        claims.record(claim, STEPS)
    return mine


def test_a_conductor_halted_while_it_stores_progress_blocks_no_leases_and_outcomes(opened, held_jobs):
    halted, other = opened(), opened()
    leases, claims = SqlJobLeases(database=other), SqlJobClaims(database=other)
    ended = [HostEnded("cmp-2", (TaskResult(DEBIAN, Outcome.CACHED),), NOW)]
    halts = []

    def while_halted(*_):
        halts.append(leases.extend(held_jobs, LEASE))
        for claim in held_jobs:
            claims.record(claim, ended)

    event.listen(halted.engine, "after_cursor_execute", while_halted)
    reports = [
        TaskProgress(job_id(number), host, DEBIAN, Phase.DOWNLOADING, 5, 9, "cell1")
        for number in (1, 2)
        for host in ("cmp-1", "cmp-2")
    ]

    SqlProgressLog(database=halted).note(reports)

    assert len(halts) >= 3
    assert set(map(tuple, halts)) == {()}
    for number in (1, 2):
        shown = {task.host: task.bytes_done for task in SqlJobQueries(database=other).list_tasks(job_id(number))}
        assert shown == {"cmp-1": 5, "cmp-2": 0}  # an outcome that came in between is not undone


def test_a_conductor_halted_while_it_stores_heartbeats_blocks_no_other_heartbeats(opened):
    halted, other = opened(), opened()
    beats = [Heartbeat(f"cmp-{number}", f"cell{number}", "fake", datetime.now(UTC)) for number in (1, 2)]
    halts = []

    def while_halted(*_):
        halts.append(SqlHosts(database=other).store_heartbeats(beats))

    event.listen(halted.engine, "after_cursor_execute", while_halted)

    SqlHosts(database=halted).store_heartbeats(beats)
    SqlHosts(database=halted).store_heartbeats(beats)

    assert len(halts) >= 6
    assert [host.name for host in SqlHosts(database=other).list_hosts()] == ["cmp-1", "cmp-2"]


@contextlib.contextmanager
def row_held(database, number):
    """Hold the row of a job, as a conductor does that is halted while it records an outcome."""
    with database.write() as connection:
        connection.execute(select(jobs.c.number).where(jobs.c.id == job_id(number)).with_for_update())
        yield


def test_progress_does_not_wait_for_the_row_of_its_job(opened, held_jobs):
    other = opened()
    report = TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.CONVERTING, 7, 9, "cell1")

    with row_held(opened(), 1):
        SqlProgressLog(database=other).note([report])

    assert {task.phase for task in SqlJobQueries(database=other).list_tasks(job_id(1))} == {
        Phase.CONVERTING,
        Phase.WAITING,
    }


def test_a_lease_whose_row_is_held_does_not_cost_the_others_theirs(opened, held_jobs):
    other = opened()
    queries = SqlJobQueries(database=other)
    before = [queries.get(job_id(number)).lease_until for number in (1, 2)]

    with row_held(opened(), 1), pytest.raises(StoreUnavailable):
        SqlJobLeases(database=other).extend(held_jobs, LEASE)

    after = [queries.get(job_id(number)).lease_until for number in (1, 2)]
    assert after[0] == before[0]
    assert after[1] > before[1]


def test_a_claim_passes_over_a_job_whose_row_is_held(opened):
    database = opened()
    for number in (1, 2):
        SqlJobIntake(database=database).add(new_job(number, created_at=NOW + number * SECOND))
    claims = SqlJobClaims(database=database)

    with row_held(opened(), 1):
        claimed = [claims.claim("me", LEASE), claims.claim("me", LEASE)]

    assert [job and job.id for job in claimed] == [job_id(2), None]
    assert claims.claim("me", LEASE).id == job_id(1)


def test_a_request_to_cancel_waits_for_the_row_of_its_job_alone(opened, held_jobs):
    steering = SqlJobSteering(database=opened())

    with row_held(opened(), 1):
        other = steering.cancel(job_id(2))
        with pytest.raises(StoreUnavailable):
            steering.cancel(job_id(1))

    assert other.cancel_requested_at is not None
    assert SqlJobQueries(database=opened()).get(job_id(1)).cancel_requested_at is None


def test_requests_to_cancel_are_seen_while_the_rows_of_the_jobs_are_held(opened, held_jobs):
    SqlJobSteering(database=opened()).cancel(job_id(1))

    with row_held(opened(), 1), row_held(opened(), 2):
        steering = SqlJobLeases(database=opened()).steering(held_jobs)

    assert {claim: one.stop for claim, one in steering.items()} == {
        held_jobs[0]: StopReason.CANCELLED,
        held_jobs[1]: None,
    }


def test_an_api_halted_while_it_cancels_a_job_blocks_no_other_jobs(opened, held_jobs):
    halted, other = opened(), opened()
    SqlJobIntake(database=other).add(new_job(3, hosts=("cmp-1", "cmp-2"), images=(DEBIAN,)))
    leases, claims, progress = (kind(database=other) for kind in (SqlJobLeases, SqlJobClaims, SqlProgressLog))
    ended = HostEnded("cmp-2", (TaskResult(DEBIAN, Outcome.CACHED),), NOW)
    report = TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.CONVERTING, 7, 9, "cell1")
    halts = []

    def while_halted(*_):
        halts.append(leases.extend(held_jobs, LEASE))
        claims.record(held_jobs[0], [ended])
        progress.note([report])
        # The job that is being cancelled is passed over, even before its new state can be seen.
        assert claims.claim("me", LEASE, skip=[claim.job_id for claim in held_jobs]) is None

    locked = select(jobs.c.number).where(jobs.c.id == job_id(3)).with_for_update(skip_locked=True)

    def once_locked(*details):
        with other.write() as connection:
            is_locked = connection.scalar(locked) is None
        if is_locked:
            while_halted(*details)

    event.listen(halted.engine, "after_cursor_execute", once_locked)

    job = SqlJobSteering(database=halted).cancel(job_id(3))

    assert len(halts) >= 4
    assert job.state is JobState.CANCELLED


def test_a_job_that_is_just_being_claimed_is_cancelled_after_its_claim(opened):
    claiming, other = opened(), opened()
    SqlJobIntake(database=other).add(new_job())
    with ThreadPoolExecutor(1) as threads:
        cancelling = []

        def while_claiming(_connection, _cursor, statement, *_):
            if statement.startswith("UPDATE jobs"):
                cancelling.append(threads.submit(SqlJobSteering(database=other).cancel, job_id(1)))

        event.listen(claiming.engine, "before_cursor_execute", while_claiming)
        claimed = SqlJobClaims(database=claiming).claim("me", LEASE)
        (cancelled,) = (future.result(30) for future in cancelling)

    assert (cancelled.state, cancelled.claim) == (JobState.RUNNING, claimed.claim)
    assert SqlJobLeases(database=other).steering([claimed.claim]) == {claimed.claim: Steering(StopReason.CANCELLED, 0)}


@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])
class TestWrongClocks:
    def test_no_conductor_takes_a_job_whose_lease_has_not_run_out(self, opened, off):
        wrong = opened(SetClock(datetime.now(UTC) + off))
        SqlJobIntake(database=wrong).add(new_job())

        job = SqlJobClaims(database=wrong).claim("wrong", LEASE)
        extended = SqlJobLeases(database=wrong).extend([job.claim], LEASE)

        assert extended == []
        for database in (wrong, opened()):
            assert SqlJobClaims(database=database).claim("right", LEASE) is None
        remaining = SqlJobQueries(database=wrong).get(job.id).lease_until - datetime.now(UTC)
        assert timedelta() < remaining <= LEASE + SECOND

    def test_a_lease_that_ran_out_is_taken_over(self, opened, off):
        wrong = opened(SetClock(datetime.now(UTC) + off))
        SqlJobIntake(database=wrong).add(new_job())
        SqlJobClaims(database=opened()).claim("dead", timedelta())

        assert SqlJobClaims(database=wrong).claim("heir", LEASE).lease_token == 2

    def test_a_host_is_up_for_all_conductors_whichever_got_the_heartbeat(self, opened, off):
        clock = SetClock(datetime.now(UTC) + off)
        wrong, right = opened(clock), opened()

        SqlHosts(database=wrong).store_heartbeats([Heartbeat("cmp-1", "cell1", "fake", clock.now())])
        SqlHosts(database=wrong).store_heartbeats([Heartbeat("cmp-2", "cell1", "fake", clock.now() - 2 * DOWN_TIME)])

        for database in (wrong, right):
            assert [host.is_up(DOWN_TIME) for host in SqlHosts(database=database).list_hosts()] == [True, False]
