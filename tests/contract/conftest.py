"""Empty stores for the suites, one after another."""

import shutil

import pytest

from precache.adapters.sql import open_database, upgrade
from tests.contract.stores import EXTERNAL, STORES

PARAMS = {name: pytest.param(name, marks=[pytest.mark.external] if name in EXTERNAL else []) for name in STORES}


@pytest.fixture(params=PARAMS.values())
def stores(request):
    """Return an empty store."""
    opened = STORES[request.param](request)
    yield opened
    opened.close()


@pytest.fixture(params=[param for name, param in PARAMS.items() if name != "memory"])
def database_stores(request):
    """Return an empty store in a database."""
    opened = STORES[request.param](request)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """Migrate once; each test works on a copy."""
    path = tmp_path_factory.mktemp("template") / "precache.sqlite"
    database = open_database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template, tmp_path):
    path = shutil.copy(sqlite_template, tmp_path / "precache.sqlite")
    return f"sqlite:///{path}"
