"""Migrations on every database: from nothing, from the release before, twice at once, and broken off."""

import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url, text

from precache.adapters.inventory_sql import SqlAggregateQueries, SqlHosts
from precache.adapters.jobs_sql import SqlJobClaims, SqlJobIntake, SqlJobQueries
from precache.adapters.sql import check_schema, open_database, upgrade
from precache.adapters.sql.schema import alembic_config
from precache.adapters.sql.tables import metadata
from precache.core.errors import InvariantBroken, SchemaHalfDone, SchemaOutdated, SchemaTooNew
from precache.core.hosts import Heartbeat
from precache.core.job_lists import JobFilter
from precache.core.jobs import Outcome, TaskState
from precache.core.operations import Operation
from precache.core.targets import Target
from tests.contract.job_values import LEASE, NOW, new_job
from tests.lab.database_server import PASSWORD

NEWEST = ScriptDirectory.from_config(alembic_config()).get_current_head()
PROGRAM = "import sys; from precache.adapters.sql import *; upgrade(open_database(sys.argv[1]))"

ROWS_OF_0001 = """\
INSERT INTO cells (id, name) VALUES (1, 'cell1');
INSERT INTO hosts (id, name, cell_id, driver, forced_down) VALUES (1, 'cmp-1', 1, 'libvirt', FALSE);
INSERT INTO aggregates (id, uuid, name, created_at) VALUES (1, 'u', 'rack', '2026-03-01 12:00:00');
INSERT INTO aggregate_hosts (id, aggregate_id, host_id) VALUES (1, 1, 1);
INSERT INTO jobs (number, id, aggregate_id, aggregate_uuid, aggregate_name, state, task_count, requested_by, request_id,
 created_at) VALUES (1, 'j', 1, 'u', 'rack', 'queued', 1, 'admin', 'req-1', '2026-03-01 12:00:00');
INSERT INTO job_hosts (job, position, host) VALUES (1, 0, 'cmp-1');
INSERT INTO job_images (job, position, image) VALUES (1, 0, '70a599e0-31e7-49b7-b260-868f441e862b');
INSERT INTO tasks (job, host_position, image_position, state, phase, bytes_done, bytes_total, attempts, reason)
 VALUES (1, 0, 0, 'waiting', 'waiting', 0, 0, 0, '')"""


@pytest.fixture(
    params=["sqlite", *(pytest.param(name, marks=pytest.mark.external) for name in ("postgresql", "mariadb"))]
)
def url(request, tmp_path):
    """The URL of a database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.sqlite"
    server = request.getfixturevalue(request.param)
    server.start()
    return server.fresh_url()


@pytest.fixture
def database(url):
    opened = open_database(url)
    yield opened
    opened.close()


def test_migrating_an_empty_database_makes_exactly_the_tables_of_the_code(database):
    upgrade(database)

    check_schema(database)
    assert differences(database) == []


def test_a_database_of_the_release_before_keeps_its_rows(database):
    migrate(database, "0001")
    run(database, *ROWS_OF_0001.split(";"))

    upgrade(database)

    assert differences(database) == []
    (host,) = SqlHosts(database=database).list_hosts()
    assert (host.name, host.cell, host.driver, host.rpc_version) == ("cmp-1", "cell1", "libvirt", "")
    (aggregate,) = SqlAggregateQueries(database=database).list_aggregates()
    assert (aggregate.name, aggregate.hosts) == ("rack", ("cmp-1",))
    (job,) = SqlJobQueries(database=database).list_jobs()
    assert (job.image_names, job.for_host) == ({}, None)
    assert (job.aggregate_metadata, job.cancel_requested_at) == ({}, None)
    assert (job.name, job.target) == (None, Target(aggregates=("rack",)))
    assert [order.document() for order in job.orders] == [{"image": "70a599e0-31e7-49b7-b260-868f441e862b"}]
    (task,) = SqlJobQueries(database=database).list_tasks(job.id)
    assert (task.host, task.image_name) == ("cmp-1", None)


def test_the_upgrade_counts_the_tasks_of_stored_jobs_and_finds_their_aggregates(database):
    migrate(database, "0013")
    run(
        database,
        *ROWS_OF_0001.split(";"),
        *(f"INSERT INTO job_hosts (job, position, host) VALUES (1, {place}, 'cmp-{place}')" for place in (2, 3, 4)),
        *(
            "INSERT INTO tasks (job, host_position, image_position, state, outcome, phase, bytes_done, bytes_total, "
            f"attempts, reason) VALUES (1, {place}, 0, {standing}, 'waiting', 7, 9, 1, '')"
            for place, standing in ((2, "'running', NULL"), (3, "'ended', 'cached'"), (4, "'ended', 'cached'"))
        ),
        """UPDATE jobs SET target = '{"aggregates": ["edge", "rack"]}'""",
    )

    upgrade(database)

    (job,) = SqlJobQueries(database=database).list_jobs(only=JobFilter(aggregate="edge"))
    assert job.progress.task_states == {TaskState.WAITING: 1, TaskState.RUNNING: 1, TaskState.ENDED: 2}
    assert job.counts == {Outcome.CACHED: 2}
    assert (job.progress.bytes_done, job.progress.bytes_total) == (21, None)
    assert SqlJobQueries(database=database).list_jobs(only=JobFilter(aggregate="rack")) == [job]


def test_a_job_for_one_host_of_the_previous_release_has_that_target(database):
    upgrade(database)
    run(database, *ROWS_OF_0001.split(";"), "UPDATE jobs SET for_host = 'cmp-1', aggregate_id = 0, aggregate_name = ''")

    (job,) = SqlJobQueries(database=database).list_jobs()

    assert (job.for_host, job.target) == ("cmp-1", Target(hosts=("cmp-1",)))


def test_the_previous_release_works_with_the_new_tables(database):
    upgrade(database)

    run(database, *ROWS_OF_0001.split(";"))

    assert [host.name for host in SqlHosts(database=database).list_hosts()] == ["cmp-1"]
    assert [job.operation for job in SqlJobQueries(database=database).list_jobs()] == [Operation.CACHE]


def test_two_processes_that_upgrade_at_once_do_it_once(url, database):
    both = [subprocess.Popen([sys.executable, "-c", PROGRAM, url], stderr=subprocess.PIPE) for _ in range(2)]

    ends = [(process.communicate(timeout=100)[1].decode(), process.returncode) for process in both]

    assert ends == [("", 0)] * 2
    assert differences(database) == []


def test_an_interrupted_upgrade_is_reported_with_advice(database):
    migrate(database, "0001")
    run(database, "ALTER TABLE cells ADD COLUMN transport_url VARCHAR(1)")

    with pytest.raises(
        SchemaHalfDone, match=r"has the schema 0001, but .*transport_url.*interrupted.*backup"
    ) as caught:
        upgrade(database)

    assert PASSWORD not in str(caught.value)
    with pytest.raises(SchemaOutdated):
        check_schema(database)


@pytest.mark.parametrize("loss", ["DELETE FROM alembic_version", "UPDATE alembic_version SET version_num = '0001'"])
def test_a_lost_row_of_the_schema_can_be_written_again(database, loss):
    upgrade(database)
    run(database, loss)

    with pytest.raises(SchemaHalfDone, match=r"the row in alembic_version was lost.*backup") as caught:
        upgrade(database)
    run(database, "DELETE FROM alembic_version", f"INSERT INTO alembic_version (version_num) VALUES ('{NEWEST}')")
    upgrade(database)

    assert PASSWORD not in str(caught.value)
    check_schema(database)
    assert differences(database) == []


def test_tables_of_another_program_are_left_alone(database):
    run(database, "CREATE TABLE hosts (id INTEGER)")

    with pytest.raises(
        SchemaHalfDone, match=r"has no schema of Precache, but cannot be upgraded: .*hosts.*another program"
    ):
        upgrade(database)

    with database.read() as connection:
        assert [column["name"] for column in inspect(connection).get_columns("hosts")] == ["id"]


def test_an_empty_database_and_an_older_one_are_refused_with_the_command(database):
    order = "precache db upgrade --config-file /etc/precache/precache.conf"
    with pytest.raises(SchemaOutdated, match=f"has no tables of Precache.*run `{order}`") as caught:
        check_schema(database, upgrade_command=order)
    assert PASSWORD not in str(caught.value)
    migrate(database, "0001")
    with pytest.raises(SchemaOutdated, match=r"has the schema 0001, but this release needs"):
        check_schema(database)


def test_a_newer_database_is_neither_used_nor_touched(database):
    upgrade(database)
    run(database, "UPDATE alembic_version SET version_num = '9999'")

    for step in (check_schema, upgrade):
        with pytest.raises(SchemaTooNew, match="9999"):
            step(database)


@pytest.mark.external
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize(
    "name", ["with space", "per%cent", 'quote"s`', "\N{SNOWMAN}-\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_a_database_may_have_any_name(request, server, name):
    given = request.getfixturevalue(server)
    given.start()
    quoted = f'"{name.replace(chr(34), chr(34) * 2)}"' if server == "postgresql" else f"`{name.replace('`', '``')}`"
    given.execute(f"DROP DATABASE IF EXISTS {quoted}", f"CREATE DATABASE {quoted}")
    url = make_url(given.url("-")).set(database=name)
    database = open_database(url.render_as_string(hide_password=False))

    upgrade(database)

    check_schema(database)
    database.close()
    given.execute(f"DROP DATABASE {quoted}")


@pytest.mark.external
class TestMariadb:
    def test_every_text_is_compared_exactly_and_every_instant_has_microseconds(self, mariadb):
        mariadb.start()
        database = open_database(mariadb.fresh_url())
        upgrade(database)

        columns = (
            "SELECT table_name, column_name, data_type, collation_name, datetime_precision "
            "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
        )
        with database.read() as connection:
            rows = connection.execute(text(columns)).all()
        assert {row.collation_name for row in rows if row.data_type in ("varchar", "mediumtext")} == {"utf8mb4_bin"}
        assert {row.datetime_precision for row in rows if row.data_type == "datetime"} == {6}

    def test_a_reader_sees_one_snapshot(self, mariadb_url):
        sees_one_snapshot(mariadb_url)


@pytest.mark.external
def test_a_reader_of_postgresql_sees_one_snapshot(postgresql_url):
    sees_one_snapshot(postgresql_url)


@pytest.mark.external
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize("way", ["{0}://", "{0}+{1}://"])
def test_a_url_without_a_driver_or_with_novas_charset_serves_as_well(request, server, way):
    given = request.getfixturevalue(server)
    given.start()
    scheme, _, driver = given.scheme.partition("+")
    url = given.empty_url().replace(f"{given.scheme}://", way.format(scheme, driver))
    database = open_database(url + ("?charset=utf8" if server == "mariadb" else ""))
    hosts = SqlHosts(database=database)

    hosts.store_heartbeats([Heartbeat("cmp-\N{PILE OF POO}", "cell1", "fake", NOW)])

    assert [host.name for host in hosts.list_hosts()] == ["cmp-\N{PILE OF POO}"]
    SqlJobIntake(database=database).add(new_job())
    assert SqlJobClaims(database=database).claim("me", LEASE) is not None
    database.close()


CLAIM_OF_THE_PREVIOUS_RELEASE = """\
UPDATE jobs SET state = 'running', lease_owner = 'old', lease_until = '2034-01-01 12:00:00',
 lease_token = lease_token + 1, due_at = NULL"""


@pytest.mark.external
@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
@pytest.mark.parametrize("state", ["queued", "waiting", "paused", "running"])
def test_a_conductor_of_the_previous_release_can_claim_only_jobs_that_cache(request, server, state):
    given = request.getfixturevalue(server)
    given.start()
    database = open_database(given.empty_url())
    intake, claims = SqlJobIntake(database=database), SqlJobClaims(database=database)
    intake.add(new_job(1, operation=Operation.PURGE))
    assert claims.claim("first", LEASE) is not None  # its lease has expired where the state is `running`
    run(database, f"UPDATE jobs SET state = '{state}'")

    with pytest.raises(InvariantBroken, match="conductor_too_old_for_operation"):
        run(database, CLAIM_OF_THE_PREVIOUS_RELEASE)

    run(database, "UPDATE jobs SET state = 'queued'")
    assert claims.claim("second", LEASE) is not None
    run(database, "UPDATE jobs SET state = 'queued', operation = 'cache'", CLAIM_OF_THE_PREVIOUS_RELEASE)
    database.close()


def sees_one_snapshot(url):
    database = open_database(url)
    names = text("SELECT name FROM cells")
    with database.read() as reader:
        before = reader.scalars(names).all()
        run(database, "INSERT INTO cells (name) VALUES ('new')")
        during = reader.scalars(names).all()
    with database.read() as reader:
        after = reader.scalars(names).all()
    database.close()
    assert (before, during, after) == ([], [], ["new"])


def migrate(database, revision):
    config = alembic_config()
    with database.for_migrations() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def run(database, *statements):
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def differences(database):
    """Do what `alembic check` does."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)
