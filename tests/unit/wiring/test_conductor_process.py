"""What keeps a conductor from starting."""

import pytest

from precache.adapters.inventory_sql import SqlCells
from precache.adapters.sql import open_database, upgrade
from precache.config.load import load_config
from precache.core.cells import Cell
from precache.core.errors import InvalidConfiguration, SecretUnreadable
from precache.wiring.conductor_process import ConductorProcess
from tests.contract.stores import KEY


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a conductor on a database with one cell, with further lines in its file."""
    url = f"sqlite:///{tmp_path}/precache.sqlite"
    database = open_database(url)
    upgrade(database)
    SqlCells(database=database, keys=[KEY]).create_cell(Cell("cell1", "rabbit://user:password@127.0.0.1:1/cell1"))
    database.close()

    def start_with(lines):
        file = tmp_path / "precache.conf"
        file.write_text(f"[database]\nconnection = {url}\n{lines}")
        conductor = ConductorProcess(config=load_config([file]))
        try:
            conductor.start()
        finally:
            conductor.stop()

    return start_with


def test_without_the_key_of_the_cells_it_would_fail_every_job_that_it_took(start):
    with pytest.raises(SecretUnreadable, match=r"missing from \[database\] encryption_keys of this process"):
        start("")


def test_it_cannot_pin_messages_to_a_version_that_it_does_not_support(start):
    with pytest.raises(InvalidConfiguration, match=r"\[upgrade_levels\] compute = 1.9 is newer than .* speaks, 1.5"):
        start(f"encryption_keys = {KEY}\n[upgrade_levels]\ncompute = 1.9\n")
