"""`precache cell create`, run as the program runs it."""

import io

import pytest
from cryptography.fernet import Fernet

from precache.adapters.inventory_sql import SqlCells
from precache.adapters.sql import open_database, upgrade
from precache.cli.app import PrecacheApp
from precache.core.cells import Cell

URL = "rabbit://precache:hunter2@10.0.0.5:5672/cell1"
KEY = Fernet.generate_key().decode()


@pytest.fixture
def cells(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'precache.sqlite'}")
    upgrade(database)
    yield SqlCells(database=database, keys=[KEY])
    database.close()


@pytest.fixture
def create(cells, tmp_path):
    config = tmp_path / "precache.conf"
    place = tmp_path / "precache.sqlite"
    config.write_text(f"[database]\nconnection = sqlite:///{place}\nencryption_keys = {KEY}\n")

    def run_it(name):
        stderr = io.StringIO()
        words = ["cell", "create", "--transport-url", URL, "--config-file", str(config), "--", name]
        code = PrecacheApp(environ={}, stdout=io.StringIO(), stderr=stderr).run(words)
        return code, stderr.getvalue()

    return run_it


def test_a_cell_is_made_known(create, cells):
    assert create("cell1") == (0, "Cell cell1 is on 10.0.0.5:5672/cell1.\n")
    assert cells.list_cells() == [Cell("cell1", URL)]


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(create, cells, capsys, name):
    with pytest.raises(SystemExit, match="2"):
        create(name)

    assert f"argument name: {name!r} is empty" in capsys.readouterr().err
    assert cells.list_cells() == []


@pytest.mark.parametrize("name", ["cell\n1", "a/b", "x" * 256])
def test_what_cannot_be_a_name_is_refused(create, cells, name):
    code, told = create(name)

    assert code == 2
    assert "cannot be a cell's name, which is of 1 to 255 letters, digits" in told
    assert told.count("\n") == 1
    assert cells.list_cells() == []
