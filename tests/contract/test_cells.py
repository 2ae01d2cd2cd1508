"""Cells in every database; transport URLs, which contain a password, are stored encrypted."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from precache.adapters.inventory_sql import SqlCells
from precache.adapters.sql import open_database
from precache.core.cells import Cell
from precache.core.errors import (
    CellHasHosts,
    CellHostsInAggregates,
    CellNameTaken,
    CellNotFound,
    InvalidConfiguration,
    SecretUnreadable,
)
from precache.core.hosts import Heartbeat
from tests.contract.job_values import since

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
ROUNDS = 40
URL = "rabbit://precache:hunter2@10.0.0.5:5672/cell1"
OTHER_URL = "rabbit://precache:correct-horse@10.0.0.6:5672,precache:correct-horse@10.0.0.7:5672/cell1?ssl=1"
LONG_URL = "rabbit://" + ",".join(f"precache:{'p' * 200}@10.0.0.{number}:5672" for number in range(250)) + "/"

OLD_KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def stores(database_stores):
    """Cells are stored in databases only."""
    return database_stores


def test_cells_are_listed_by_name_with_the_way_to_their_bus(stores):
    for name, url in (("zeta", URL), ("Beta", OTHER_URL), ("alpha", None), ("\N{SNOWMAN}", LONG_URL)):
        stores.cells.create_cell(Cell(name, url))

    listed = [(cell.name, cell.transport_url) for cell in stores.cells.list_cells()]

    assert listed == [("Beta", OTHER_URL), ("alpha", None), ("zeta", URL), ("\N{SNOWMAN}", LONG_URL)]


def test_a_cell_shows_no_url_when_it_is_printed(stores):
    stores.cells.create_cell(Cell("cell1", URL))

    assert "hunter2" not in repr(stores.cells.list_cells())


def test_the_name_of_a_cell_with_a_bus_is_taken(stores):
    stores.cells.create_cell(Cell("cell1", URL))

    for again in (Cell("cell1", OTHER_URL), Cell("cell1")):
        with pytest.raises(CellNameTaken):
            stores.cells.create_cell(again)

    assert stores.cells.list_cells() == [Cell("cell1", URL)]


def test_names_that_differ_in_case_are_different_cells(stores):
    stores.cells.create_cell(Cell("cell1", URL))
    stores.cells.create_cell(Cell("CELL1", OTHER_URL))

    assert stores.cells.list_cells() == [Cell("CELL1", OTHER_URL), Cell("cell1", URL)]


def test_a_cell_that_a_heartbeat_registered_gets_its_url(stores):
    beat(stores, "cmp-1", "cell1")
    assert stores.cells.list_cells() == [Cell("cell1")]

    stores.cells.create_cell(Cell("cell1", URL))

    assert stores.cells.list_cells() == [Cell("cell1", URL)]
    with pytest.raises(CellNameTaken):
        stores.cells.create_cell(Cell("cell1", OTHER_URL))


def test_of_two_that_create_a_cell_at_once_one_finds_it_taken(stores):
    beat(stores, "cmp-1", "cell1")
    together = threading.Barrier(2)

    def create(url):
        together.wait(10)
        try:
            stores.cells.create_cell(Cell("cell1", url))
        except CellNameTaken:
            return None
        return url

    with ThreadPoolExecutor(2) as threads:
        won = [url for url in threads.map(create, (URL, OTHER_URL)) if url]

    assert [cell.transport_url for cell in stores.cells.list_cells()] == won
    assert len(won) == 1


def test_a_url_can_be_changed(stores):
    stores.cells.create_cell(Cell("cell1", URL))
    stores.cells.create_cell(Cell("cell2", URL))

    stores.cells.set_transport_url("cell1", OTHER_URL)
    stores.cells.set_transport_url("cell1", OTHER_URL)

    assert stores.cells.list_cells() == [Cell("cell1", OTHER_URL), Cell("cell2", URL)]


def test_a_cell_without_hosts_can_be_deleted(stores):
    stores.cells.create_cell(Cell("cell1", URL))
    stores.cells.create_cell(Cell("cell2", URL))

    assert stores.cells.delete_cell("cell1", since(stores, NOW)) == 0

    assert stores.cells.list_cells() == [Cell("cell2", URL)]


def test_a_cell_with_a_host_that_sends_heartbeats_stays_with_all_its_hosts(stores):
    stores.cells.create_cell(Cell("cell1", URL))
    beat(stores, "cmp-1", "cell1")
    stores.clock.set(LATER)
    stores.host_reports.store_heartbeats([Heartbeat(name, "cell1", "fake", LATER) for name in ("cmp-3", "cmp-2")])

    with pytest.raises(CellHasHosts, match=r"Cell cell1 .* cmp-2, cmp-3; stop their computes") as refused:
        stores.cells.delete_cell("cell1", since(stores, LATER))

    assert refused.value.hosts == ("cmp-2", "cmp-3")
    assert stores.cells.list_cells() == [Cell("cell1", URL)]
    assert [host.name for host in stores.hosts.list_hosts()] == ["cmp-1", "cmp-2", "cmp-3"]


def test_the_silent_hosts_of_a_cell_go_with_it_and_no_other_hosts(stores):
    stores.cells.create_cell(Cell("cell1", URL))
    for name in ("cmp-1", "cmp-2"):
        beat(stores, name, "cell1")
    beat(stores, "elsewhere", "cell2")

    assert stores.cells.delete_cell("cell1", since(stores, LATER)) == 2

    assert stores.cells.list_cells() == [Cell("cell2")]
    assert [host.name for host in stores.hosts.list_hosts()] == ["elsewhere"]


def test_a_cell_with_hosts_in_aggregates_stays_and_both_are_named(stores):
    for name in ("cmp-1", "cmp-2", "cmp-3"):
        beat(stores, name, "cell1")
    for name in ("web", "db"):
        aggregate = stores.aggregate_changes.create_aggregate(name, {}, NOW)
        stores.aggregate_changes.add_host(aggregate.id, "cmp-2", NOW)

    with pytest.raises(CellHostsInAggregates, match="in aggregates db, web: cmp-2; remove them") as refused:
        stores.cells.delete_cell("cell1", since(stores, LATER))

    assert (refused.value.hosts, refused.value.aggregates) == (("cmp-2",), ("db", "web"))
    assert len(stores.hosts.list_hosts()) == 3


def test_a_host_of_a_deleted_cell_that_starts_again_registers_both_again(stores):
    stores.cells.create_cell(Cell("cell1", URL))
    beat(stores, "cmp-1", "cell1")
    stores.cells.delete_cell("cell1", since(stores, LATER))

    beat(stores, "cmp-1", "cell1")

    assert stores.cells.list_cells() == [Cell("cell1")]
    assert [host.cell for host in stores.hosts.list_hosts()] == ["cell1"]


def test_a_cell_that_a_heartbeat_registered_outlives_its_last_host(stores):
    beat(stores, "cmp-1", "cell1")
    stores.host_removal.delete_host("cmp-1", since(stores, LATER))

    assert stores.cells.list_cells() == [Cell("cell1")]
    assert stores.cells.delete_cell("cell1", since(stores, LATER)) == 0
    assert stores.cells.list_cells() == []


def test_heartbeats_that_come_in_while_their_cell_is_deleted_register_it_again(stores):
    together = threading.Barrier(3)

    def hear(numbers):
        together.wait(10)
        for _ in range(ROUNDS):
            stores.host_reports.store_heartbeats(
                [Heartbeat(f"cmp-{number}", "cell1", "fake", NOW) for number in numbers]
            )

    def delete():
        together.wait(10)
        for _ in range(ROUNDS):
            with suppress(CellNotFound):
                stores.cells.delete_cell("cell1", since(stores, LATER))

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(hear, range(4)), threads.submit(hear, range(2, 6)), threads.submit(delete)]:
            done.result(60)

    for number in range(6):
        beat(stores, f"cmp-{number}", "cell1")
    assert stores.cells.list_cells() == [Cell("cell1")]
    assert len(stores.hosts.list_hosts()) == 6


def test_what_is_not_there_can_be_neither_changed_nor_deleted(stores):
    with pytest.raises(CellNotFound):
        stores.cells.set_transport_url("cell1", URL)
    with pytest.raises(CellNotFound):
        stores.cells.delete_cell("cell1", since(stores, NOW))


def beat(stores, host, cell):
    stores.host_reports.store_heartbeats([Heartbeat(host, cell, "fake", NOW)])


class TestWrittenDown:
    """On a database."""

    @pytest.fixture(
        params=[
            "sqlite_url",
            pytest.param("postgresql_url", marks=pytest.mark.external),
            pytest.param("mariadb_url", marks=pytest.mark.external),
        ]
    )
    def database(self, request):
        opened = open_database(request.getfixturevalue(request.param))
        yield opened
        opened.close()

    def test_no_part_of_a_url_is_in_the_table(self, database):
        cells = SqlCells(database=database, keys=[NEW_KEY])
        cells.create_cell(Cell("created", URL))
        cells.create_cell(Cell("changed", URL))
        cells.set_transport_url("changed", OTHER_URL)

        for row in raw(database):
            for secret in ("hunter2", "correct-horse", "rabbit", "10.0.0", NEW_KEY):
                assert secret not in row

    def test_a_url_that_was_stored_with_an_older_key_stays_readable(self, database):
        SqlCells(database=database, keys=[OLD_KEY]).create_cell(Cell("cell1", URL))

        assert SqlCells(database=database, keys=[NEW_KEY, OLD_KEY]).list_cells() == [Cell("cell1", URL)]

    def test_what_is_set_again_is_stored_with_the_first_key(self, database):
        SqlCells(database=database, keys=[OLD_KEY]).create_cell(Cell("cell1", URL))

        SqlCells(database=database, keys=[NEW_KEY, OLD_KEY]).set_transport_url("cell1", URL)

        assert SqlCells(database=database, keys=[NEW_KEY]).list_cells() == [Cell("cell1", URL)]
        with pytest.raises(SecretUnreadable):
            SqlCells(database=database, keys=[OLD_KEY]).list_cells()

    @pytest.mark.parametrize("keys", [[], [NEW_KEY]], ids=["no key", "another key"])
    def test_without_the_key_the_cell_is_named_and_nothing_else(self, database, keys):
        SqlCells(database=database, keys=[OLD_KEY]).create_cell(Cell("cell1", URL))
        stored = raw(database)[0]

        with pytest.raises(SecretUnreadable, match=r"cell cell1 cannot be decrypted.*encryption_keys") as caught:
            SqlCells(database=database, keys=keys).list_cells()

        assert stored not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_without_a_key_nothing_is_stored_and_the_error_says_how_to_make_one(self, database):
        cells = SqlCells(database=database, keys=[])

        with pytest.raises(InvalidConfiguration, match=r"\[database\] encryption_keys is not set.*precache config key"):
            cells.create_cell(Cell("cell1", URL))

        cells.create_cell(Cell("bare"))
        assert cells.list_cells() == [Cell("bare")]


@pytest.mark.parametrize("key", ["", "hunter2", "x" * 43, f"{'x' * 60}=", "\N{SNOWMAN}"])
def test_an_invalid_key_is_refused_by_its_position_and_not_quoted(key, sqlite_url):
    with pytest.raises(InvalidConfiguration, match=r"\[database\] encryption_keys: key number 2 is not one") as caught:
        SqlCells(database=open_database(sqlite_url), keys=[NEW_KEY, key])

    assert not key or key not in str(caught.value)
    assert caught.value.__cause__ is None


def raw(database):
    with database.read() as connection:
        return list(connection.scalars(text("SELECT transport_url FROM cells ORDER BY name")))
