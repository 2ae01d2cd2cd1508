"""Inserts rows whose keys the database chooses."""

from sqlalchemy import Connection, Insert

from precache.core.errors import InvariantBroken


def insert_with_key(connection: Connection, statement: Insert) -> int:
    """Insert one row and return its key."""
    key = connection.execute(statement).inserted_primary_key
    if key is None:
        raise InvariantBroken(f"A new row of {statement.table} has no key")
    return int(key[0])
