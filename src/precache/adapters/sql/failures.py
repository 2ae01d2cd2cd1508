"""Translates the library's exceptions at the edge of every transaction: the cause, and whether to repeat it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from precache.adapters.sql import mariadb, postgresql, sqlite
from precache.adapters.sql.repeating import NotConnected, TransactionUndone
from precache.core.certificates import TlsNames, explain_certificate
from precache.core.errors import DatabaseDamaged, InvariantBroken, StoreUnavailable

_NO_TLS = ("SSL is required but", "does not support SSL")
_DISK_FULL = "free some space there, in bytes and in files (inodes), or raise the quota"
_DISK_FAILS = "look into the kernel's log, and check the disk of the database before anything else"
_NAMES = TlsNames(
    cafile="[database] connection (ssl_ca; for PostgreSQL sslrootcert)",
    own="[database] connection (ssl_cert and ssl_key; for PostgreSQL sslcert and sslkey)",
    address="[database] connection",
)


@contextmanager
def translated(place: str, file: Path | None = None) -> Iterator[None]:
    """Raise the project's errors in place of the library's. place: the database, without secrets. file: SQLite's."""
    try:
        yield
    except IntegrityError as exc:
        raise _refusal(exc, place) from exc
    except DataError as exc:
        raise InvariantBroken(f"A value cannot be stored: {first_line(exc)} ({place})") from exc
    except DBAPIError as exc:
        if mariadb.code_of(exc.orig) == mariadb.CONSTRAINT_FAILED:
            raise _refusal(exc, place) from exc
        if sqlite.is_damage(exc.orig):
            raise DatabaseDamaged(first_line(exc), place) from exc
        if file is not None and sqlite.is_disk_full(exc.orig, file):
            raise StoreUnavailable(f"its disk is full ({place})", _DISK_FULL) from exc
        if sqlite.is_disk_failure(exc.orig):
            raise StoreUnavailable(f"{first_line(exc)} ({place})", _DISK_FAILS) from exc
        kind = TransactionUndone if exc.connection_invalidated or _is_undone(exc.orig) else StoreUnavailable
        raise kind(f"{first_line(exc)} ({place})") from exc
    except StatementError as exc:
        # The library found that the value does not fit its column.
        raise InvariantBroken(f"A value cannot be stored: {first_line(exc)} ({place})") from exc
    except PoolTimeout as exc:
        raise StoreUnavailable(f"every connection is in use and none became free in time ({place})") from exc


@contextmanager
def connecting(place: str) -> Iterator[None]:
    """Raise NotConnected if no connection could be made: nothing has begun yet, so everything may be repeated."""
    try:
        yield
    except DBAPIError as exc:
        # A final answer, or one of SQLite, which has already waited for its file.
        if _is_final(exc.orig):
            raise
        raise NotConnected(f"{first_line(exc)} ({place})") from exc
    except OSError as exc:
        # The driver could not read its own options file, or the TLS files that the URL names.
        raise StoreUnavailable(f"a file for the connection cannot be used: {exc.strerror or exc} ({place})") from exc


def _refusal(error: DBAPIError, place: str) -> InvariantBroken:
    """Return what to raise. The adapters check before they write and translate the known races: the rest are bugs."""
    return InvariantBroken(f"The database refuses a change: {first_line(error)} ({place})")


def _is_undone(error: BaseException | None) -> bool:
    return mariadb.code_of(error) in mariadb.UNDONE or postgresql.code_of(error) in postgresql.UNDONE


def _is_final(error: BaseException | None) -> bool:
    if tls_cause(str(error)) is not None:
        return True
    return (
        sqlite.is_sqlite_error(error)
        or mariadb.code_of(error) in mariadb.PERMANENT_FAILURES
        or postgresql.is_permanent_failure(error)
    )


def tls_cause(text: str) -> str | None:
    """Return the TLS failure that a driver's text describes, if waiting does not help; else None."""
    if any(sign in text for sign in _NO_TLS):
        return "the server has no TLS, which [database] connection demands; turn it on there"
    return explain_certificate(text, _NAMES)


def is_already_there(error: DBAPIError) -> bool:
    """Return whether a table, a column or an index could not be created because it exists."""
    original = error.orig
    return (
        mariadb.code_of(original) in mariadb.ALREADY_EXISTS
        or postgresql.code_of(original) in postgresql.ALREADY_EXISTS
        or (sqlite.is_sqlite_error(original) and sqlite.ALREADY_EXISTS.search(str(original)) is not None)
    )


def first_line(error: SQLAlchemyError) -> str:
    """Return the database's error without the statement and its values; for TLS, an explanation."""
    original = getattr(error, "orig", None)
    text = str(mariadb.text_of(original) or original or type(error).__name__)
    lines = text.strip().splitlines()
    return tls_cause(text) or (lines[0] if lines else type(error).__name__)
