"""A database that is there, away, empty, or of another release."""

import pytest
from cryptography.fernet import Fernet

from precache.adapters.inventory_sql import SqlCells
from precache.adapters.sql import open_database
from precache.core.cells import Cell
from precache.core.errors import InvalidConfiguration, SecretUnreadable, StoreUnavailable
from precache.doctor.cells import check_cells, check_computes
from precache.doctor.database import check_database, on_database
from tests.unit.doctor.looking import only, statuses


def on(url, *keys):
    return f"[database]\nconnection = {url}\nencryption_keys = {','.join(keys)}\n"


def test_a_database_of_this_release_is_well(configured, sqlite_url):
    assert only(check_database(configured(on(sqlite_url)))).status == "ok"


def test_an_empty_database_names_the_command_to_run(configured, tmp_path):
    finding = only(check_database(configured(on(f"sqlite:///{tmp_path}/new.sqlite"))))

    assert finding.status == "failed"
    assert finding.advice == f"run `precache db upgrade --config-file {tmp_path}/precache.conf`"


@pytest.mark.parametrize("scheme", ["mysql+pymysql", "postgresql+psycopg"])
def test_a_database_that_is_down_is_named_without_its_password(configured, scheme):
    finding = only(check_database(configured(on(f"{scheme}://precache:hush-hush@127.0.0.1:9/precache"))))

    assert finding.status == "failed"
    assert "127.0.0.1/precache" in finding.found
    assert "hush-hush" not in finding.found + finding.advice


def test_a_database_that_is_not_configured_is_a_failure(configured):
    with pytest.raises(InvalidConfiguration, match="connection is not set"):
        list(check_database(configured()))


def test_what_needs_the_database_is_skipped_while_it_is_down(configured):
    def look(config):
        raise StoreUnavailable("connection refused")
        yield

    assert statuses(on_database(look)(configured())) == ["skipped"]


def test_no_cell_with_a_bus_is_worth_a_warning(configured, sqlite_url):
    finding = only(check_cells(configured(on(sqlite_url))))

    assert (finding.status, "cell create" in finding.advice) == ("warning", True)


def test_the_key_of_a_cells_secret_is_missed(configured, sqlite_url):
    add_cell(sqlite_url, Fernet.generate_key().decode())

    with pytest.raises(SecretUnreadable, match="cell1"):
        list(check_cells(configured(on(sqlite_url, Fernet.generate_key().decode()))))


def test_the_bus_of_each_cell_is_tried(configured, sqlite_url):
    key = Fernet.generate_key().decode()
    add_cell(sqlite_url, key)

    finding = only(check_cells(configured(on(sqlite_url, key))))

    assert finding.status == "failed"
    assert finding.found.startswith("cell cell1: The message bus 127.0.0.1:9/cell1 is not available")
    assert "hush-hush" not in finding.found


def test_a_cell_without_any_heartbeat_is_a_warning(configured, sqlite_url):
    key = Fernet.generate_key().decode()
    add_cell(sqlite_url, key)

    finding = only(check_computes(configured(on(sqlite_url, key))))

    assert (finding.status, finding.found) == (
        "warning", "cell cell1: no compute sent a heartbeat in the last 60 seconds",
    )  # fmt: skip


def add_cell(url, key):
    database = open_database(url)
    cell = Cell("cell1", "rabbit://precache:hush-hush@127.0.0.1:9/cell1")
    SqlCells(database=database, keys=[key]).create_cell(cell)
    database.close()
