"""Inserts rows: one whose key the database chooses, or many of which some may exist already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, Insert, Table, func
from sqlalchemy.dialects import mysql, postgresql, sqlite

from precache.core.errors import InvariantBroken


def insert_with_key(connection: Connection, statement: Insert) -> int:
    """Insert one row and return its key, which the database chooses."""
    key = connection.execute(statement).inserted_primary_key
    if key is None:
        raise InvariantBroken(f"A new row of {statement.table} has no key")
    return int(key[0])


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    changing: Sequence[str] = (),
    adding: Sequence[str] = (),
    filling: Sequence[str] = (),
) -> None:
    """Insert the rows; in rows that exist, update the columns `changing`, increase the numbers in `adding`, and set the
    columns `filling` where they are NULL.

    rows: all with the same columns. The database first tries to insert a row: so every column without a default is
    needed, even for rows that exist.
    key: the columns that identify a row: its primary key or a unique constraint.

    One statement writes some hundreds of rows; SQLite runs one statement per row, which costs no round trip.
    """
    if rows:
        connection.execute(_statement(connection, table, key, changing, adding, filling), rows)


def _statement(
    connection: Connection,
    table: Table,
    key: Sequence[str],
    changing: Sequence[str],
    adding: Sequence[str],
    filling: Sequence[str],
) -> Executable:
    is_updating = bool(changing or adding or filling)

    def new_values(inserted: Any) -> dict[str, Any]:
        return (
            {name: inserted[name] for name in changing}
            | {name: table.c[name] + inserted[name] for name in adding}
            | {name: func.coalesce(table.c[name], inserted[name]) for name in filling}
        )

    if connection.dialect.name == "sqlite":
        lite = sqlite.insert(table)
        if not is_updating:
            return lite.on_conflict_do_nothing(index_elements=key)
        return lite.on_conflict_do_update(index_elements=key, set_=new_values(lite.excluded))
    if connection.dialect.name == "postgresql":
        post = postgresql.insert(table)
        written = (
            post.on_conflict_do_update(index_elements=key, set_=new_values(post.excluded))
            if is_updating
            else post.on_conflict_do_nothing(index_elements=key)
        )
        # Only a statement that returns something is sent for many rows at once.
        return written.returning(table.c[key[0]])
    # The driver joins many rows into one statement. IGNORE would also hide other errors than existing rows.
    maria = mysql.insert(table)
    return maria.on_duplicate_key_update(new_values(maria.inserted) or {key[0]: table.c[key[0]]})
