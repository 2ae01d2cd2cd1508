"""Many rows written by few statements, whether they are there already or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    changing: Sequence[str] = (),
) -> None:
    """Insert the rows; of those that are there already, write the columns `changing`, which may be none.

    rows: all with the same columns. To find out that a row is there, the database tries to insert it: so every
    column without a default is needed even where it will not be written.
    key: the columns by which a row is known: its primary key or a unique constraint.

    The number of statements grows by one for some hundreds of rows; SQLite, which is called and not talked to, runs
    one for each row at no cost.
    """
    if rows:
        connection.execute(_statement(connection, table, key, changing), rows)


def _statement(connection: Connection, table: Table, key: Sequence[str], changing: Sequence[str]) -> Executable:
    if connection.dialect.name == "sqlite":
        lite = sqlite.insert(table)
        if not changing:
            return lite.on_conflict_do_nothing(index_elements=key)
        return lite.on_conflict_do_update(index_elements=key, set_={name: lite.excluded[name] for name in changing})
    if connection.dialect.name == "postgresql":
        post = postgresql.insert(table)
        written = (
            post.on_conflict_do_update(index_elements=key, set_={name: post.excluded[name] for name in changing})
            if changing
            else post.on_conflict_do_nothing(index_elements=key)
        )
        # Only a statement that gives something back is sent for many rows at once.
        return written.returning(table.c[key[0]])
    # The driver writes many rows into one statement by itself. IGNORE would swallow more than a row that is there.
    maria = mysql.insert(table)
    return maria.on_duplicate_key_update({name: maria.inserted[name] for name in changing} or {key[0]: table.c[key[0]]})
