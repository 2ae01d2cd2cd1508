"""One order of letters on every database, so that pages of a list begin where the last one ended."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, collate


def by_code_point(connection: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """Return the column, to be compared and sorted as Python does it.

    SQLite does so by itself, and so do our tables on MariaDB; PostgreSQL has the language that its database was made
    with.
    """
    return collate(column, "C") if connection.dialect.name == "postgresql" else column
