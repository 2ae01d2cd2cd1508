"""Migrates the tables to this release's schema, and refuses any other schema. The only way back is a backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from precache.adapters.sql import failures
from precache.adapters.sql.engine import Database
from precache.adapters.sql.limits import milliseconds, whole_seconds
from precache.adapters.sql.repeating import TransactionUndone, repeat
from precache.core.errors import SchemaHalfDone, SchemaOutdated, SchemaTooNew, StoreUnavailable

_MIGRATIONS = Path(__file__).parent / "migrations"

UPGRADE_COMMAND = "precache db upgrade"

UPGRADE_WAIT = timedelta(minutes=10)
"""How long to wait for another process that upgrades the same database."""

_LOCK = 0x7072_6563
"""A number that no other program uses for its lock in this database: the letters "prec" in ASCII."""


def upgrade(database: Database) -> None:
    """Create or migrate the tables; do nothing if they are current.

    One transaction if the database supports it for tables (SQLite, PostgreSQL). Only one process upgrades at a time.
    Raises SchemaTooNew, StoreUnavailable; SchemaHalfDone if the tables do not match the stored revision: an earlier
    upgrade was interrupted (MariaDB), or the row with the revision was lost.
    """
    config = alembic_config()
    with database.for_migrations() as connection, _alone(connection, database):
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in _known(config):
            raise SchemaTooNew(database.place, found)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except DBAPIError as exc:
            if failures.is_already_there(exc):
                raise SchemaHalfDone(database.place, found, failures.first_line(exc)) from exc
            raise


def check_schema(database: Database, *, upgrade_command: str = UPGRADE_COMMAND) -> None:
    """Raise SchemaOutdated, which names the command to run, or SchemaTooNew if the tables are not current."""
    config = alembic_config()
    found = repeat(lambda: _revision(database), database.patience, TransactionUndone)
    expected = ScriptDirectory.from_config(config).get_current_head() or ""
    if found == expected:
        return
    if found is not None and found not in _known(config):
        raise SchemaTooNew(database.place, found)
    raise SchemaOutdated(database.place, found, expected, upgrade_command)


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _alone(connection: Connection, database: Database) -> Iterator[None]:
    """Lock out other upgrades of this database until the end of the block. SQLite has only one writer."""
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds(UPGRADE_WAIT)}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds(database.limits.lock)}"))
    if backend not in ("mysql", "mariadb"):
        yield
        return
    # These locks are shared by the whole server, so that the lock's name includes the database; hashed, because that
    # name can be too long.
    lock = "CONCAT('precache.', MD5(DATABASE()))"
    if not connection.scalar(text(f"SELECT GET_LOCK({lock}, {whole_seconds(UPGRADE_WAIT)})")):
        minutes = UPGRADE_WAIT // timedelta(minutes=1)
        raise StoreUnavailable(f"another process has been upgrading it for {minutes} minutes ({database.place})")
    # The lock ends with the connection, which only this upgrade uses.
    yield


def alembic_config() -> Config:
    """Return the configuration for alembic's commands; the caller adds the connection to its attributes."""
    config = Config()
    # A per cent sign in the path would be read as an interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _known(config: Config) -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
