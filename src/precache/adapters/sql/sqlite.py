"""What SQLite needs to be a database for many threads: write-ahead log, foreign keys, honest transactions."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, event

WRITES = "precache_writes"
"""Execution option: the transaction will write."""

FORGETTABLE = "precache_forgettable"
"""Execution option: a power cut may undo the transaction."""

BUSY_TIMEOUT_MS = 30_000
"""How long to wait for another process that writes."""

IN_THE_WAY = re.compile(r"^(table|index) \S+ already exists|^duplicate column name")
"""What SQLite says of a table, an index or a column that is there already; it has no code for it."""

_PRIMARY_CODE = 0xFF  # the bits above it say more of the same


def prepare(engine: Engine) -> None:
    """Have every connection of the engine set up, and every transaction begun as its options say."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)


def is_ours(error: BaseException | None) -> bool:
    """Return whether the error is one of SQLite's."""
    return isinstance(error, sqlite3.Error)


def is_damage(error: BaseException | None) -> bool:
    """Return whether SQLite found that the file is no database, or one with broken pages."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY_CODE in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _set_up(connection: Any, _record: Any) -> None:
    # Python's sqlite3 begins transactions by itself, late and only for some statements: switched off, see _begin.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # An accepted job must survive a power cut, so commits are flushed; a heartbeat is not worth a flush.
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get(FORGETTABLE) else 'FULL'}")
    # The write lock at once: a transaction that reads first and then writes could not wait for another writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
