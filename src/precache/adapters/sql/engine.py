"""A database and its transactions. Safe for many threads: each transaction has a connection of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, QueuePool, cast, create_engine, literal
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from precache.adapters.sql import failures, mariadb, postgresql, sqlite
from precache.adapters.sql.limits import Limits
from precache.adapters.sql.repeating import TransactionUndone
from precache.adapters.sql.types import Instant, ServerInstant
from precache.adapters.sql.urls import check_tls, missing_driver, parse_url
from precache.core.errors import ChangeUncertain, DatabaseUrlRefused, StoreUnavailable
from precache.ports.clock import Clock

# It logs a traceback if a connection is broken when it is given back or closed. Then nothing is lost: the transaction
# has ended, and the connection is dropped. What fails for the caller is raised.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

CONNECTIONS = 20
"""The most connections; a further thread waits for one. The embedded service has about as many threads."""


def utc_now() -> datetime:
    """Return the current time by the clock of this machine."""
    return datetime.now(UTC)


class Database:
    """One database. `engine` is for tests and migrations; adapters use `read` and `write`.

    Both raise TransactionUndone if the block may be run again, ChangeUncertain if it is unknown whether the changes of
    `write` were made, another StoreUnavailable if repeating does not help.

    local_now: the clock of this process. is_time_local: use it instead of the server's, see `now`.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        limits: Limits,
        local_now: Callable[[], datetime] = utc_now,
        is_time_local: bool = False,
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.local_now = local_now
        # SQLite has one writer at a time, and waits by sleeps of up to 100 ms: threads wait here instead.
        is_sqlite = engine.dialect.name == "sqlite"
        self._is_time_local = is_time_local or is_sqlite
        self._writer = threading.Lock() if is_sqlite else None
        self._file = Path(engine.url.database) if is_sqlite and engine.url.database else None
        # All statements of a reader see one snapshot; SQLite's transactions always do.
        self._snapshot = None if is_sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"

    @property
    def place(self) -> str:
        """The database, for messages: without user, password and options."""
        url = self.engine.url
        return f"{url.get_backend_name()} {'/'.join(part for part in (url.host, url.database) if part)}"

    @property
    def patience(self) -> timedelta:
        """How long `@repeatable` methods repeat."""
        return self.limits.patience

    @contextmanager
    def read(self, *, is_one_statement: bool = False) -> Iterator[Connection]:
        """Open a transaction that only reads, from one snapshot.

        is_one_statement: a single statement sees one snapshot in any case, so it needs no statement that asks for it.
        """
        with failures.translated(self.place, self._file), self._connected() as connection, connection.begin():
            if self._snapshot is not None and not is_one_statement:
                connection.exec_driver_sql(self._snapshot)
            yield connection

    @contextmanager
    def write(self, *, is_forgettable: bool = False) -> Iterator[Connection]:
        """Open a transaction that writes: committed at the end, undone if the block raises.

        is_forgettable: a power cut may undo it, if that saves a flush of the disk (heartbeats, progress).
        """
        with self._turn(), failures.translated(self.place, self._file), self._connected() as connection:
            connection.execution_options(**{sqlite.WRITES: True, sqlite.FORGETTABLE: is_forgettable})
            with connection.begin() as transaction:
                yield connection
                try:
                    transaction.commit()
                except DBAPIError as exc:
                    if exc.connection_invalidated:
                        raise ChangeUncertain(self.place) from exc
                    raise

    @contextmanager
    def write_singly(self) -> Iterator[Connection]:
        """Open a connection on which every statement is its own transaction; a power cut may undo it.

        The server commits each statement by itself, so a process that is halted between two statements holds no lock.
        SQLite has one writer and one process: there it is an ordinary transaction.
        """
        if self._writer is not None:
            with self.write(is_forgettable=True) as connection:
                yield connection
            return
        with failures.translated(self.place, self._file), self._connected() as connection, self._autocommit(connection):
            yield connection

    def now(self, after: timedelta = timedelta()) -> ColumnElement[datetime]:
        """Return an SQL expression for the current time plus `after`, by the clock of the database.

        The server's clock is used, so that the clocks of its clients may differ. SQLite has no server: there it is the
        clock of this process.
        """
        if self._is_time_local:
            instant = literal(self.local_now() + after, Instant())
            return instant if self._writer else cast(instant, Instant())  # MariaDB returns a bare value as text
        return ServerInstant(after)

    def close(self) -> None:
        """Close the idle connections. A later transaction opens new ones."""
        self.engine.dispose()

    @contextmanager
    def for_migrations(self) -> Iterator[Connection]:
        """Open a transaction like `write`, on a connection of its own, whose statements may take long."""
        limits = self.limits.for_migrations()
        with (
            closing(Database(engine=_open(self.engine.url, limits), limits=limits)) as database,
            database.write() as connection,
        ):
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with failures.connecting(self.place):
            connection = self.engine.connect()
        with connection:
            yield connection

    @contextmanager
    def _autocommit(self, connection: Connection) -> Iterator[None]:
        """Make the server commit every statement by itself until the end of the block.

        The library's own option is not used: at the end it may raise an error of the driver, and the pool may lose a
        connection.
        """
        driver: Any = self.engine.dialect.loaded_dbapi
        server = postgresql if self.engine.dialect.name == "postgresql" else mariadb
        raw = connection.connection.driver_connection
        try:
            server.set_autocommit(raw, True)
        except driver.Error as exc:
            connection.invalidate(exc)
            raise TransactionUndone(f"the connection broke ({self.place})") from exc
        try:
            yield
        finally:
            if not connection.invalidated:
                try:
                    server.set_autocommit(raw, False)
                except driver.Error as exc:  # all is committed; the next one gets another connection
                    connection.invalidate(exc)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        wait_s = self.limits.queue.total_seconds()
        if not self._writer.acquire(timeout=wait_s):
            raise StoreUnavailable(f"no turn to write within {wait_s:g} s ({self.place})")
        try:
            yield
        finally:
            self._writer.release()


def open_database(
    url: str, *, limits: Limits | None = None, clock: Clock | None = None, is_time_local: bool = False
) -> Database:
    """Return the database behind an SQLAlchemy URL such as `sqlite:////var/lib/precache/precache.sqlite`.

    clock: of this process; by default the system's. is_time_local: use it instead of a server's, too.

    Makes no connection yet. Raises DatabaseUrlRefused for a URL that can never work.
    """
    parsed = parse_url(url)
    check_tls(parsed)
    engine = _open(parsed, limits or Limits())
    return Database(
        engine=engine,
        limits=limits or Limits(),
        local_now=clock.now if clock else utc_now,
        is_time_local=is_time_local,
    )


def _open(url: URL, limits: Limits) -> Engine:
    try:
        return _open_sqlite(url, limits) if url.get_backend_name() == "sqlite" else _open_server(url, limits)
    except (NoSuchModuleError, ImportError) as exc:
        raise missing_driver(url, exc) from exc
    except ValueError:
        # The library's message quotes the value, which may be a part of the password.
        raise DatabaseUrlRefused(f"one of {', '.join(sorted(url.query))} is not a number") from None


def _open_server(url: URL, limits: Limits) -> Engine:
    server = postgresql if url.get_backend_name() == "postgresql" else mariadb
    given: dict[str, Any] = {
        name: value for name, value in server.connect_args(limits).items() if name not in url.query
    }
    engine = create_engine(
        url,
        connect_args=given,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=limits.queue.total_seconds(),
        pool_pre_ping=True,
        # Every statement sees committed rows; with MariaDB's default the loser of a race would read old rows.
        isolation_level="READ COMMITTED",
    )
    server.prepare(engine, limits)
    return engine


def _open_sqlite(url: URL, limits: Limits) -> Engine:
    if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
        raise DatabaseUrlRefused("an SQLite database in memory cannot be shared by threads; name a file")
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=limits.queue.total_seconds()
    )
    sqlite.prepare(engine)
    return engine
