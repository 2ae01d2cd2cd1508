"""A process finds its database, or says which command makes it usable."""

import pytest

from precache.adapters.sql import upgrade
from precache.config.load import load_config
from precache.core.errors import SchemaOutdated
from precache.wiring.databases import configured_database, current_database


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "of mine.conf"
    file.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/precache.sqlite\n")
    return load_config([file])


def test_a_database_without_tables_is_refused_with_the_command_for_this_very_database(config, tmp_path):
    command = f"precache db upgrade --config-file '{tmp_path}/of mine.conf'"

    with pytest.raises(SchemaOutdated, match=f"run `{command}`"):
        current_database(config)


def test_a_migrated_database_is_given(config):
    database = configured_database(config)
    upgrade(database)
    database.close()

    current = current_database(config)

    assert current.place == database.place
    current.close()
