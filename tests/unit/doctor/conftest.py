"""A configuration as an operator writes it, with the parts of a small deployment that need no server."""

import pytest

from precache.adapters.sql import open_database, upgrade
from precache.config.load import load_config

LOGIN = """\
[service_user]
auth_type = password
auth_url = {url}
username = precache
password = hush-hush
project_name = service
user_domain_name = Default
project_domain_name = Default
"""


@pytest.fixture
def configured(tmp_path):
    """Return a function from the text of a file to the configuration."""

    def configure(text=""):
        file = tmp_path / "precache.conf"
        file.write_text(text)
        file.chmod(0o600)
        return load_config([file])

    return configure


@pytest.fixture
def sqlite_url(tmp_path):
    """A database with this release's tables."""
    url = f"sqlite:///{tmp_path}/precache.sqlite"
    database = open_database(url)
    upgrade(database)
    database.close()
    return url


@pytest.fixture
def host(tmp_path, configured):
    """Return a function to the configuration of a host whose instances are in `instances`, which is there."""
    (tmp_path / "instances").mkdir()

    def configure(text=""):
        return configured(f"[DEFAULT]\ninstances_path = {tmp_path}/instances\n{text}")

    return configure
