"""Write thousands of rows of `cache_entries` with one statement: servers get them as one JSON document.

A statement with a parameter for each value costs a client several times as much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.tables import cache_entries

_COLUMNS = [column.name for column in cache_entries.c]
_CHANGING = [column.name for column in cache_entries.c if not column.primary_key]

_ON_POSTGRESQL = text(f"""
INSERT INTO cache_entries ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM json_to_recordset(CAST(:rows AS json)) AS new (host_id int, entry text, state text,
    verification text, is_pinned boolean, disks int, allocated_bytes bigint, mark bigint, document text)
ON CONFLICT (host_id, entry) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _CHANGING)}
""")  # noqa: S608  constants

_ON_MARIADB = text(f"""
INSERT INTO cache_entries ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM JSON_TABLE(:rows, '$[*]' COLUMNS (host_id INT PATH '$.host_id',
    entry CHAR(40) PATH '$.entry', state VARCHAR(32) PATH '$.state', verification VARCHAR(32) PATH '$.verification',
    is_pinned BOOLEAN PATH '$.is_pinned', disks INT PATH '$.disks', allocated_bytes BIGINT PATH '$.allocated_bytes',
    mark BIGINT PATH '$.mark', document MEDIUMTEXT PATH '$.document')) AS new
ON DUPLICATE KEY UPDATE {", ".join(f"{name} = VALUES({name})" for name in _CHANGING)}
""")  # noqa: S608  constants


_MOST_CHARACTERS = 3_500_000
"""Of the documents of one statement. As JSON within JSON they have four times as many at most; MariaDB by default
refuses a statement of more than 16 MiB."""

_ROW_SIZE = 300  # of the other columns, with their names


def write_entries(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, or replace those that exist."""
    if connection.dialect.name == "sqlite":
        upsert(connection, cache_entries, rows, key=["host_id", "entry"], changing=_CHANGING)
        return
    statement = _ON_POSTGRESQL if connection.dialect.name == "postgresql" else _ON_MARIADB
    for part in _parts(rows):
        connection.execute(statement, {"rows": json.dumps(part)})


def _parts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Return the rows in order, in parts for one statement each."""
    part: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        growth = len(row["document"]) + _ROW_SIZE
        if part and size + growth > _MOST_CHARACTERS:
            yield part
            part, size = [], 0
        part.append(row)
        size += growth
    if part:
        yield part
