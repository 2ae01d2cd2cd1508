"""`precache cell delete`, run as the program runs it, on a database in which hosts were heard of."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.inventory_sql import SqlAggregateChanges, SqlHosts
from precache.adapters.sql import open_database, upgrade
from precache.cli.app import PrecacheApp
from precache.core.hosts import Heartbeat

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=1)


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'precache.sqlite'}")
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def run(database, tmp_path):
    """Run a cell command on the database; `settings` adds to its configuration."""
    config = tmp_path / "precache.conf"
    config.write_text(f"[database]\nconnection = {database.engine.url}\n[DEFAULT]\nservice_down_time = 3600\n")

    def run_it(*words, settings=""):
        more = tmp_path / "more.conf"
        more.write_text(settings)
        stdout, stderr = io.StringIO(), io.StringIO()
        files = ["--config-file", str(config), "--config-file", str(more)]
        code = PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(["cell", *words, *files])
        return code, stdout.getvalue(), stderr.getvalue()

    return run_it


def test_a_cell_goes_with_its_silent_hosts(run, database):
    heard(database, LONG_AGO, "cmp-1", "cmp-2")

    assert run("delete", "cell1") == (0, "", "Cell cell1 is deleted with 2 hosts.\n")
    assert SqlHosts(database=database).list_hosts() == []
    assert run("list", "-f", "value") == (0, "", "")


def test_a_cell_whose_hosts_have_moved_goes_alone(run, database):
    heard(database, LONG_AGO, "cmp-1")
    heard(database, NOW, "cmp-1", cell="cell2")

    assert run("delete", "cell1") == (0, "", "Cell cell1 is deleted.\n")
    assert [host.cell for host in SqlHosts(database=database).list_hosts()] == ["cell2"]


def test_hosts_that_send_heartbeats_are_named_and_what_to_do(run, database):
    heard(database, NOW, *(f"cmp-{number}" for number in range(8)))
    heard(database, LONG_AGO, "silent")

    code, _, told = run("delete", "cell1")

    assert code == 1
    assert told == (
        "precache: Cell cell1 has hosts that are alive: cmp-0, cmp-1, cmp-2, cmp-3, cmp-4 and 3 more; stop their "
        "computes, or move them to another cell, and delete the cell once it has been silent for [DEFAULT] "
        "service_down_time\n"
    )
    assert len(SqlHosts(database=database).list_hosts()) == 9


def test_how_long_is_silent_says_the_configuration(run, database):
    heard(database, LONG_AGO, "cmp-1")

    assert run("delete", "cell1", settings="[DEFAULT]\nservice_down_time = 200000\n")[0] == 1
    assert run("delete", "cell1", settings="[DEFAULT]\nservice_down_time = 3600\n")[0] == 0


def test_local_aggregates_count_only_if_they_are_in_use(run, database):
    heard(database, LONG_AGO, "cmp-1")
    aggregates = SqlAggregateChanges(database=database)
    aggregates.add_host(aggregates.create_aggregate("web", {}, NOW).id, "cmp-1", NOW)

    code, _, told = run("delete", "cell1")

    assert code == 1
    assert "has hosts in aggregate web: cmp-1; remove them there first" in told
    assert run("delete", "cell1", settings="[inventory]\nsource = nova\n")[0] == 0


def heard(database, when, *names, cell="cell1"):
    SqlHosts(database=database).store_heartbeats([Heartbeat(name, cell, "fake", when) for name in names])
