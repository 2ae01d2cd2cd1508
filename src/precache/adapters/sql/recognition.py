"""Which schema tables are of that lost their mark, or never got it because an upgrade broke off after its last step."""

from __future__ import annotations

from collections.abc import Iterator

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from precache.adapters.sql.tables import metadata

_MARK = "alembic_version"

_Shape = frozenset[tuple[str, str]]
"""Each column and each index of ours by its table. Types are left out: databases have their own names for them."""


def recognise(connection: Connection, config: Config) -> str | None:
    """Return the one revision whose tables these are; None if there is none, or more than one is alike."""
    found = _shape(connection)
    alike = [revision for revision, shape in _shapes(config) if shape == found]
    return alike[0] if len(alike) == 1 else None


def marking(connection: Connection, revision: str) -> str:
    """Return the SQL that marks the database as being of this revision."""
    if not inspect(connection).has_table(_MARK):
        return f"CREATE TABLE {_MARK} (version_num VARCHAR(32) NOT NULL); {_insert(revision)}"
    if MigrationContext.configure(connection).get_current_revision() is None:
        return _insert(revision)
    return f"UPDATE {_MARK} SET version_num = '{revision}'"  # noqa: S608 - shown, and of our own files


def _insert(revision: str) -> str:
    return f"INSERT INTO {_MARK} (version_num) VALUES ('{revision}')"  # noqa: S608 - likewise


def _shapes(config: Config) -> Iterator[tuple[str, _Shape]]:
    """Return every revision with what its migrations make of a database in memory."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
                command.upgrade(config, script.revision)
                yield script.revision, _shape(connection)
    finally:
        engine.dispose()


def _shape(connection: Connection) -> _Shape:
    seen = inspect(connection)
    tables = metadata.tables.keys() & set(seen.get_table_names())
    columns = {(table, column["name"]) for table in tables for column in seen.get_columns(table)}
    indexes = {(table, index["name"] or "") for table in tables for index in seen.get_indexes(table)}
    # Databases make indexes of their own for keys; ours are named so.
    return frozenset(columns | {(table, name) for table, name in indexes if name.startswith("ix_")})
