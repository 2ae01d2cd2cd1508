"""The settings of PostgreSQL: bounded waits on the server, on the network, and in this process."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, event

from precache.adapters.sql.limits import Limits, milliseconds, whole_seconds

UNDONE = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03"})
"""SQLSTATEs after which the transaction is undone and may be repeated: not serializable, deadlock, wait for a lock too
long, server shutting down or starting."""

ALREADY_EXISTS = frozenset({"42P07", "42701", "42710"})
"""SQLSTATEs for a table, an index, a column or a constraint that exists already."""

_PERMANENT_FAILURES = (
    "password authentication failed",
    "does not exist",
    "pg_hba.conf",
    "not permitted to log in",
    "invalid connection option",
)
"""Texts of refused connections for which waiting does not help. There is no code for it."""

ANSWER_MARGIN = timedelta(seconds=2)
"""How much longer than the server this process waits for a statement: the server's own error is better."""


def connect_args(limits: Limits) -> dict[str, Any]:
    """Return the options for the driver; options in the URL take precedence."""
    return {
        "connect_timeout": whole_seconds(limits.connect),
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }


def prepare(engine: Engine, limits: Limits) -> None:
    """Register the setup of every connection of the engine."""
    settings = {
        "lock_timeout": milliseconds(limits.lock),
        "statement_timeout": milliseconds(limits.statement),
        "idle_in_transaction_session_timeout": milliseconds(limits.statement),
    }
    connect = _bounded_connect(limits.statement + ANSWER_MARGIN)

    def open_connection(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        return connect(*arguments, **options)

    def set_up(connection: Any, _record: Any) -> None:
        for name, value in settings.items():
            connection.execute(f"SET SESSION {name} = {value}")
        # A setting is undone with the transaction unless it is committed.
        connection.commit()

    event.listen(engine, "do_connect", open_connection)
    event.listen(engine, "connect", set_up)


def set_autocommit(raw: Any, is_on: bool) -> None:
    """Set whether each statement on the driver's connection is a transaction of its own."""
    raw.autocommit = is_on


def code_of(error: BaseException | None) -> str | None:
    """Return the server's SQLSTATE of an error, if it has one."""
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else None


def is_permanent_failure(error: BaseException | None) -> bool:
    """Return whether a connection was refused for a permanent reason."""
    return any(words in str(error) for words in _PERMANENT_FAILURES)


def _bounded_connect(limit: timedelta) -> Any:
    """Return a function that opens connections which do not wait for ever for a running but silent server."""
    import psycopg  # imported here, because only users of PostgreSQL have it

    class BoundedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().wait(_bounded(gen, limit), *args, **kwargs)
            except TimeoutError:
                # Its answer may still arrive, and would be read as the answer to the next statement.
                self.close()
                seconds = whole_seconds(limit)
                raise psycopg.OperationalError(f"the server did not answer within {seconds} s") from None

    return BoundedConnection.connect


def _bounded(generator: Generator[Any, Any, Any], limit: timedelta) -> Generator[Any, Any, Any]:
    """Run the driver's generator, which resumes every 0.1 s; raise TimeoutError in it after the limit."""
    deadline = time.monotonic() + limit.total_seconds()
    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise TimeoutError
            wanted = generator.send(ready)
    except StopIteration as end:
        return end.value
