"""Bring the tables to this release's schema, or refuse to work on any other."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from precache.adapters.sql.engine import Database
from precache.core.errors import SchemaOutdated, SchemaTooNew

_MIGRATIONS = Path(__file__).parent / "migrations"

UPGRADE_COMMAND = "precache db upgrade"


def upgrade(database: Database) -> None:
    """Create or migrate the tables; does nothing if they are current.

    One transaction where the database can change tables in one (SQLite, PostgreSQL). Raises SchemaTooNew,
    StoreUnavailable.
    """
    config = _config()
    with database.write() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in _known(config):
            raise SchemaTooNew(database.place, found)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_schema(database: Database, *, upgrade_command: str = UPGRADE_COMMAND) -> None:
    """Raise SchemaOutdated, which names the command to run, or SchemaTooNew, unless the tables are current."""
    config = _config()
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    expected = ScriptDirectory.from_config(config).get_current_head() or ""
    if found == expected:
        return
    if found is not None and found not in _known(config):
        raise SchemaTooNew(database.place, found)
    raise SchemaOutdated(database.place, found, expected, upgrade_command)


def _config() -> Config:
    config = Config()
    # A per cent sign in the path would be taken for an interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _known(config: Config) -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
