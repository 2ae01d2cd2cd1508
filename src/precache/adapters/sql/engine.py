"""A database and its transactions. Safe for many threads: each transaction has a connection of its own.

Foreign exceptions become ours here, at the edge of every transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from precache.adapters.sql import sqlite
from precache.core.errors import DatabaseDamaged, DatabaseUrlRefused, InvariantBroken, StoreUnavailable

CONNECTIONS = 20
"""Connections kept at most; a thread more waits for one. The embedded service has about as many threads."""

CONNECTION_WAIT_S = 30
"""How long a thread waits for a connection, or for its turn to write, before it says that the database is away."""


class Database:
    """One database. `engine` is open for tests and migrations; adapters use `read` and `write`."""

    def __init__(self, *, engine: Engine) -> None:
        self.engine = engine
        # SQLite has one writer at a time, and its own waiting is a sleep of up to 100 ms: threads queue here instead.
        is_sqlite = engine.dialect.name == "sqlite"
        self._writer = threading.Lock() if is_sqlite else None
        # A reader sees one state of things through all its statements; SQLite's transactions are always so.
        self._reading = engine if is_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")

    @property
    def place(self) -> str:
        """Which database, for a message: never user, password or options."""
        url = self.engine.url
        return f"{url.get_backend_name()} {'/'.join(part for part in (url.host, url.database) if part)}"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only looks, at one snapshot."""
        with self._translated(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, is_forgettable: bool = False) -> Iterator[Connection]:
        """Open a transaction that changes something: committed at the end, undone if the block raises.

        is_forgettable: a power cut may undo it, where that spares a flush of the disk (heartbeats, progress).
        """
        with self._turn(), self._translated(), self.engine.connect() as connection:
            connection.execution_options(**{sqlite.WRITES: True, sqlite.FORGETTABLE: is_forgettable})
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close the idle connections. A later transaction opens new ones."""
        self.engine.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=CONNECTION_WAIT_S):
            raise StoreUnavailable(f"no turn to write within {CONNECTION_WAIT_S} s ({self.place})")
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as exc:
            # The adapters look before they write and translate the races they know; what is left is a bug of ours.
            raise InvariantBroken(f"The database refuses a change: {_first_line(exc)} ({self.place})") from exc
        except DBAPIError as exc:
            if sqlite.is_damage(exc.orig):
                raise DatabaseDamaged(_first_line(exc), self.place) from exc
            raise StoreUnavailable(f"{_first_line(exc)} ({self.place})") from exc
        except StatementError as exc:
            # A value that its column cannot hold, found before the database saw it.
            raise InvariantBroken(f"A value cannot be stored: {_first_line(exc)} ({self.place})") from exc
        except PoolTimeout as exc:
            raise StoreUnavailable(f"no free connection within {CONNECTION_WAIT_S} s ({self.place})") from exc


def open_database(url: str) -> Database:
    """Give the database behind an SQLAlchemy URL such as `sqlite:////var/lib/precache/precache.sqlite`.

    Nothing is connected yet. Raises DatabaseUrlRefused for a URL that can never work.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return Database(engine=_open_sqlite(parsed))
        engine = create_engine(
            parsed,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=CONNECTION_WAIT_S,
            pool_pre_ping=True,
            # Every statement sees what is committed; MariaDB's default would let a loser of a race look at old rows.
            isolation_level="READ COMMITTED",
        )
    except ArgumentError as exc:
        # The library's message quotes the URL, and with it the password.
        raise DatabaseUrlRefused("it does not have the form dialect+driver://user:password@host/database") from exc
    except (NoSuchModuleError, ImportError) as exc:
        raise DatabaseUrlRefused(f"{exc}; is the driver installed?") from exc
    return Database(engine=engine)


def _open_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
        raise DatabaseUrlRefused("an SQLite database in memory cannot be shared by threads; name a file")
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=CONNECTION_WAIT_S
    )
    sqlite.prepare(engine)
    return engine


def _first_line(error: SQLAlchemyError) -> str:
    # Not str(error): that quotes the statement and its parameters.
    lines = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()
    return lines[0] if lines else type(error).__name__
