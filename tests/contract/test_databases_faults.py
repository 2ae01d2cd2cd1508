"""A database that restarts, refuses, falls silent, or reports a conflict of two transactions during our work."""

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text, update

from precache.adapters.inventory_sql import SqlAggregateChanges, SqlCells, SqlHosts
from precache.adapters.jobs_sql import SqlJobClaims, SqlJobIntake, SqlJobLeases, SqlJobQueries, SqlJobSteering
from precache.adapters.sql import open_database
from precache.adapters.sql.limits import Limits
from precache.adapters.sql.repeating import TransactionUndone, idempotent, repeatable
from precache.adapters.sql.tables import cells
from precache.core.cells import Cell
from precache.core.errors import ChangeUncertain, InvariantBroken, StoreUnavailable
from precache.core.idempotency import IdempotencyKey
from precache.core.job_changes import JobChange
from precache.core.job_lists import JobFilter
from precache.core.jobs import HostAsked, JobState, Outcome, TaskState
from tests.contract.job_values import DEBIAN, LEASE, NOW, UBUNTU, job_id, new_job
from tests.contract.stores import KEY
from tests.lab.cut_line import CutLine
from tests.lab.database_server import PASSWORD

pytestmark = pytest.mark.external

SOON = Limits(
    connect=timedelta(seconds=1),
    statement=timedelta(seconds=1),
    lock=timedelta(seconds=1),
    patience=timedelta(seconds=0.2),
)
"""The limit for calls that are expected to fail."""

LATE = Limits(lock=timedelta(seconds=1), patience=timedelta(seconds=60))
"""The limit for calls that are expected to succeed, also on a slow machine."""

CLIENT_PATIENCE_S = 30
"""The timeout of many clients of HTTP APIs."""


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    """A running server, also if the last test stopped it."""
    given = request.getfixturevalue(request.param)
    given.start()
    yield given
    given.start()


@pytest.fixture
def opened(server):
    """Return what opens the empty database."""
    with contextlib.ExitStack() as stack:

        def open_with(limits, port=None):
            url = server.empty_url()
            database = open_database(url if port is None else url.replace(str(server.port), str(port)), limits=limits)
            stack.callback(database.close)
            return database

        yield open_with


class Names:
    """Adds cells, and calls a function during the first attempt."""

    def __init__(self, database, *, happening=lambda: None):
        self._database = database
        self._happening = happening
        self.attempts = 0

    @repeatable
    def add(self, *names):
        self.attempts += 1
        with self._database.write() as connection:
            for place, name in enumerate(names):
                connection.execute(insert(cells).values(name=name))
                if place == 0 and self.attempts == 1:
                    self._happening()

    @idempotent
    def list(self):
        self.attempts += 1
        with self._database.read() as connection:
            connection.execute(text("SELECT 1"))
            if self.attempts == 1:
                self._happening()
            return sorted(connection.scalars(select(cells.c.name)))


class TestRestarts:
    @pytest.mark.parametrize("way", ["restart", "kill"])
    def test_a_restart_between_two_transactions_is_not_noticed(self, server, opened, way):
        names = Names(opened(LATE))
        names.add("before")

        getattr(server, way)()
        server.start()

        names.add("after")
        assert names.list() == ["after", "before"]
        assert names.attempts == 3

    @pytest.mark.parametrize("way", ["restart", "kill"])
    def test_a_transaction_cut_by_a_restart_is_done_again_and_only_once(self, server, opened, way):
        def happening():
            getattr(server, way)()
            server.start()

        names = Names(opened(LATE), happening=happening)

        names.add("first", "second")

        assert Names(names._database).list() == ["first", "second"]
        assert names.attempts > 1

    def test_a_reader_cut_by_a_restart_reads_again(self, server, opened):
        database = opened(LATE)
        Names(database).add("here")

        assert Names(database, happening=server.restart).list() == ["here"]

    def test_a_transaction_waits_for_a_database_that_is_back_in_time(self, server, opened):
        names = Names(opened(LATE))
        names.add("before")
        server.stop()
        comes_back = threading.Timer(0.5, server.start)
        comes_back.start()

        names.add("after")

        comes_back.join()
        assert names.list() == ["after", "before"]


class TestAway:
    def test_a_database_that_stays_down_is_reported_in_one_sentence_without_secrets(self, server, opened):
        database = opened(SOON)
        hosts, aggregates = SqlHosts(database=database), SqlAggregateChanges(database=database)
        hosts.list_hosts()
        server.stop()

        for call in (hosts.list_hosts, lambda: aggregates.create_aggregate("rack", {}, NOW)):
            with pytest.raises(
                StoreUnavailable, match=r"^The database is not available: .*\(\w+ 127.0.0.1/\w+\)$"
            ) as caught:
                call()
            assert PASSWORD not in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_a_port_that_accepts_connections_and_sends_nothing_times_out(self, server, opened):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            database = opened(SOON, port=silent.getsockname()[1])

            with pytest.raises(StoreUnavailable):
                SqlHosts(database=database).list_hosts()

    def test_a_server_that_falls_silent_times_out(self, server, opened):
        database = opened(SOON)
        hosts = SqlHosts(database=database)
        hosts.list_hosts()

        with server.paused(), pytest.raises(StoreUnavailable):
            hosts.list_hosts()

    def test_a_request_learns_of_a_silent_server_before_its_client_gives_up(self, server, opened):
        queries = SqlJobQueries(database=opened(Limits.for_requests()))
        queries.list_jobs(limit=1)

        with server.paused(), ThreadPoolExecutor(1) as threads, pytest.raises(StoreUnavailable, match=r"127.0.0.1"):
            threads.submit(queries.list_jobs, limit=1).result(CLIENT_PATIENCE_S)

    def test_a_statement_that_takes_too_long_times_out(self, server, opened):
        database = opened(SOON)

        with pytest.raises(StoreUnavailable), database.read() as connection:
            connection.execute(text(f"SELECT {server.sleep}(30)"))

        assert SqlHosts(database=database).list_hosts() == []

    def test_a_refused_password_is_reported_and_not_tried_again(self, server, caplog):
        caplog.set_level("INFO")
        database = open_database(server.empty_url().replace(PASSWORD, "wrong-horse"), limits=LATE)

        with pytest.raises(StoreUnavailable, match=r"(?i)denied|authentication failed") as caught:
            SqlHosts(database=database).list_hosts()

        assert "wrong-horse" not in str(caught.value)
        assert "A transaction failed" not in caplog.text

    def test_a_database_that_does_not_exist_is_reported(self, server):
        database = open_database(server.url("nowhere"), limits=LATE)

        with pytest.raises(StoreUnavailable, match=r"(?i)nowhere"):
            SqlHosts(database=database).list_hosts()

    def test_a_value_that_does_not_fit_is_refused_and_not_cut(self, opened):
        with pytest.raises(InvariantBroken, match="A value cannot be stored"):
            Names(opened(SOON)).add("x" * 256)


class TestLocks:
    def test_two_transactions_that_lock_each_other_out_are_both_done(self, opened):
        database = opened(LATE)
        Names(database).add("a", "b")
        together = threading.Barrier(2)

        class Renames:
            def __init__(self, order):
                self._database, self._order, self.attempts = database, order, 0

            @repeatable
            def run(self):
                self.attempts += 1
                with database.write() as connection:
                    for place, name in enumerate(self._order):
                        if place == 1 and self.attempts == 1:
                            together.wait(30)
                        mark = {"transport_url": cells.c.name + self._order[0]}
                        connection.execute(update(cells).where(cells.c.name == name).values(mark))

        both = Renames("ab"), Renames("ba")
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Renames.run, both, timeout=60))

        # At least one was undone and repeated after the other; the last one has written both rows.
        with database.read() as connection:
            marks = connection.execute(select(cells.c.name, cells.c.transport_url).order_by(cells.c.name)).all()
        assert max(one.attempts for one in both) > 1
        assert [mark for _, mark in marks] in (["aa", "ba"], ["ab", "bb"])

    def test_a_lock_that_is_held_too_long_is_waited_for_again(self, opened):
        database = opened(LATE)
        Names(database).add("a")
        names = Names(database)
        held = database.write()
        connection = held.__enter__()
        connection.execute(update(cells).values(transport_url="held"))
        seen = threading.Event()

        class Change:
            _database = database

            @repeatable
            def run(self):
                try:
                    with database.write() as connection:
                        connection.execute(update(cells).values(transport_url="changed"))
                except TransactionUndone:
                    seen.set()
                    raise

        with ThreadPoolExecutor(1) as threads:
            changing = threads.submit(Change().run)
            assert seen.wait(30)
            held.__exit__(None, None, None)
            changing.result(30)

        with database.read() as connection:
            assert connection.scalars(select(cells.c.transport_url)).all() == ["changed"]
        assert names.list() == ["a"]

    def test_a_transaction_whose_owner_fell_silent_holds_its_locks_not_for_ever(self, opened):
        silent, other = opened(SOON), opened(LATE)
        Names(other).add("a")

        def fall_silent():
            with silent.write() as connection:
                connection.execute(update(cells).values(transport_url="silent"))
                SqlCells(database=other, keys=[KEY]).set_transport_url("a", "rabbit://other/")
                connection.execute(update(cells).values(transport_url="too late"))

        with pytest.raises(StoreUnavailable):
            fall_silent()

        assert SqlCells(database=other, keys=[KEY]).list_cells() == [Cell("a", "rabbit://other/")]

    def test_conductors_that_claim_at_once_share_the_jobs_and_take_none_twice(self, opened):
        database = opened(LATE)
        intake = SqlJobIntake(database=database)
        for number in range(30):
            intake.add(new_job(number, hosts=("cmp-1", "cmp-2")))

        def conduct(owner):
            claims, leases, done = SqlJobClaims(database=database), SqlJobLeases(database=database), []
            while (job := claims.claim(owner, LEASE)) is not None:
                claims.record(job.claim, [HostAsked("cmp-1", "cell1", (UBUNTU, DEBIAN), NOW)])
                assert leases.extend([job.claim], LEASE) == []
                claims.finish(job.claim, JobState.FAILED)
                done.append(job.id)
            return done

        with ThreadPoolExecutor(4) as threads:
            shares = list(threads.map(conduct, "abcd", timeout=100))

        assert sorted(done for share in shares for done in share) == [job_id(number) for number in range(30)]


class TestLostConfirmations:
    """The connection breaks after the server's commit but before its answer, or before the commit."""

    @pytest.fixture
    def line(self, server):
        given = CutLine(server.port)
        yield given
        given.close()

    @pytest.fixture(params=[True, False], ids=["committed", "not committed"])
    def lost_commit(self, request, server, line, opened):
        """Return a database, and a function that makes its next commit lose the confirmation."""
        database = opened(LATE, port=line.port)

        def lose():
            # A new connection is set up with commits of its own.
            SqlHosts(database=database).list_hosts()
            line.break_at(server.commit, is_delivered=request.param)

        return database, lose

    def test_a_job_is_stored_once_and_given(self, lost_commit, line):
        database, lose = lost_commit
        lose()

        job = SqlJobIntake(database=database).add(new_job())

        queries = SqlJobQueries(database=database)
        assert queries.list_jobs() == [job]
        assert len(queries.list_tasks(job.id)) == 4
        assert line.breaks == 1

    def test_a_claim_gives_the_job_that_it_took(self, lost_commit, line):
        database, lose = lost_commit
        for number in (1, 2):
            SqlJobIntake(database=database).add(new_job(number))
        lose()

        job = SqlJobClaims(database=database).claim("me", LEASE)

        running = SqlJobQueries(database=database).list_jobs(only=JobFilter(states=frozenset({JobState.RUNNING})))
        assert [job] == running
        assert (job.id, job.lease_owner) == (job_id(1), "me")
        assert line.breaks == 1

    def test_steps_count_once(self, lost_commit, line):
        database, lose = lost_commit
        claims, claim = claimed(database)
        lose()

        claims.record(claim, [HostAsked("cmp-1", "cell1", (UBUNTU, DEBIAN), NOW)])

        tasks = [task for task in SqlJobQueries(database=database).list_tasks(job_id(1)) if task.host == "cmp-1"]
        assert [(task.state, task.attempts) for task in tasks] == [(TaskState.RUNNING, 1)] * 2
        assert line.breaks == 1

    def test_a_job_with_an_idempotency_key_is_stored_once_and_found_by_it(self, lost_commit, line):
        database, lose = lost_commit
        intake, key = SqlJobIntake(database=database), IdempotencyKey("1" * 64, "2" * 64)
        lose()

        job = intake.add(new_job(idempotency_key=key))

        assert job.id == job_id(1)
        assert intake.find_repeated(key) == job
        assert SqlJobQueries(database=database).list_jobs() == [job]
        assert line.breaks == 1

    def test_a_longer_lease_holds(self, lost_commit, line):
        database, lose = lost_commit
        _, claim = claimed(database)
        before = SqlJobQueries(database=database).get(job_id(1)).lease_until
        lose()

        lost = SqlJobLeases(database=database).extend([claim], LEASE)

        assert lost == []
        assert SqlJobQueries(database=database).get(job_id(1)).lease_until > before
        assert line.breaks == 1

    def test_a_released_job_is_free(self, lost_commit, line):
        database, lose = lost_commit
        claims, claim = claimed(database)
        lose()

        claims.release(claim)

        assert SqlJobQueries(database=database).get(job_id(1)).state is JobState.QUEUED
        assert line.breaks == 1

    def test_an_ended_job_is_given_as_it_ended(self, lost_commit, line):
        database, lose = lost_commit
        claims, claim = claimed(database)
        lose()

        finished = claims.finish(claim, JobState.FAILED)

        assert finished == SqlJobQueries(database=database).get(job_id(1))
        assert finished.state is JobState.FAILED
        assert line.breaks == 1

    def test_a_job_that_an_operator_cancelled_meanwhile_is_given_as_cancelled(self, lost_commit, line):
        database, lose = lost_commit
        claims, claim = claimed(database)
        SqlJobSteering(database=database).cancel(job_id(1))
        lose()

        finished = claims.finish(claim, JobState.FAILED)

        assert finished == SqlJobQueries(database=database).get(job_id(1))
        assert finished.state is JobState.CANCELLED
        assert line.breaks == 1

    def test_a_job_that_never_started_is_cancelled_once_and_given(self, lost_commit, line):
        database, lose = lost_commit
        SqlJobIntake(database=database).add(new_job())
        lose()

        job = SqlJobSteering(database=database).cancel(job_id(1))

        assert job == SqlJobQueries(database=database).get(job_id(1))
        assert (job.state, job.counts) == (JobState.CANCELLED, {Outcome.CANCELLED: 4})
        assert line.breaks == 1

    def test_a_request_to_cancel_a_running_job_is_stored_once(self, lost_commit, line):
        database, lose = lost_commit
        _, claim = claimed(database)
        lose()

        job = SqlJobSteering(database=database).cancel(job_id(1))

        assert job == SqlJobQueries(database=database).get(job_id(1))
        assert (job.state, job.claim) == (JobState.RUNNING, claim)
        assert job.cancel_requested_at is not None
        assert line.breaks == 1

    def test_a_job_is_retried_once_and_given(self, lost_commit, line):
        database, lose = lost_commit
        SqlJobIntake(database=database).add(new_job())
        SqlJobSteering(database=database).cancel(job_id(1))
        lose()

        job = SqlJobSteering(database=database).retry(job_id(1))

        assert job == SqlJobQueries(database=database).get(job_id(1))
        assert (job.state, job.retry_count, job.counts) == (JobState.QUEUED, 1, {})
        assert line.breaks == 1

    def test_a_job_is_paused_and_changed_once(self, lost_commit, line):
        database, lose = lost_commit
        steering = SqlJobSteering(database=database)
        SqlJobIntake(database=database).add(new_job())
        lose()

        paused = steering.pause(job_id(1))
        lose()
        changed = steering.change(job_id(1), JobChange({"parallelism": 7}))

        assert changed == SqlJobQueries(database=database).get(job_id(1))
        assert (paused.state, changed.options.parallelism, changed.revision) == (JobState.PAUSED, 7, 1)
        assert line.breaks == 2

    def test_an_uncertain_change_is_reported_to_the_operator(self, lost_commit, line):
        database, lose = lost_commit
        lose()

        with pytest.raises(ChangeUncertain, match=r"127.0.0.1/\w+ broke.*look whether it was made") as caught:
            SqlCells(database=database, keys=[KEY]).create_cell(Cell("cell1", "rabbit://u:hunter2@h/"))

        assert "hunter2" not in str(caught.value)
        assert line.breaks == 1


def claimed(database):
    SqlJobIntake(database=database).add(new_job())
    claims = SqlJobClaims(database=database)
    job = claims.claim("me", LEASE)
    return claims, job.claim
