"""The settings of SQLite for many threads: write-ahead log, foreign keys, explicit transactions."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

WRITES = "precache_writes"
"""Execution option: the transaction will write."""

FORGETTABLE = "precache_forgettable"
"""Execution option: a power cut may undo the transaction."""

BUSY_TIMEOUT_MS = 30_000
"""How long to wait for another process that writes."""

_WAL_POLL_S = 0.05

LEAST_FREE_BYTES = 64 * 1024
"""With less than this, the disk counts as full: the index of the write-ahead log alone begins with half of it."""

ALREADY_EXISTS = re.compile(r"^(table|index) \S+ already exists|^duplicate column name")
"""SQLite's texts for a table, an index or a column that exists already; it has no code for it."""

_PRIMARY_CODE = 0xFF  # the higher bits are details of the same error


def prepare(engine: Engine) -> None:
    """Register the setup of every connection, and the start of every transaction by its options."""
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)


def is_sqlite_error(error: BaseException | None) -> bool:
    """Return whether the error is one of SQLite's."""
    return isinstance(error, sqlite3.Error)


def is_damage(error: BaseException | None) -> bool:
    """Return whether SQLite reports that the file is not a database, or has broken pages."""
    return _primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def is_disk_full(error: BaseException | None, file: Path) -> bool:
    """Return whether the database's disk is full. file: of the database.

    SQLite calls it a disk I/O error where it cannot enlarge the files beside the database; then the disk is looked at.
    """
    if _primary_code(error) == sqlite3.SQLITE_FULL:
        return True
    return is_disk_failure(error) and _is_full(file.parent)


def is_disk_failure(error: BaseException | None) -> bool:
    """Return whether the system reported a failure when SQLite read or wrote one of its files."""
    return _primary_code(error) == sqlite3.SQLITE_IOERR


def _primary_code(error: BaseException | None) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE


def _is_full(directory: Path) -> bool:
    try:
        status = os.statvfs(directory)
    except OSError:
        return False
    has_no_inode = status.f_files > 0 and status.f_favail == 0
    return status.f_bavail * status.f_frsize < LEAST_FREE_BYTES or has_no_inode


def _set_up(connection: Any, _record: Any) -> None:
    # By default Python's sqlite3 begins transactions late and only for some statements: switched off, see _begin.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    _use_wal(connection)


def _use_wal(connection: Any) -> None:
    """Switch the file to WAL, unless it is. SQLite does not wait for another process that does the same just now."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
        time.sleep(_WAL_POLL_S)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # An accepted job must survive a power cut, so commits are flushed; a heartbeat needs no flush.
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get(FORGETTABLE) else 'FULL'}")
    # Take the write lock at once: a transaction that first reads and then writes could not wait for another writer.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
