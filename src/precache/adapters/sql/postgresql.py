"""What PostgreSQL needs: bounded waits, on the server's side, on the network's, and on ours."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, event

from precache.adapters.sql.limits import Limits, milliseconds, whole_seconds

UNDONE = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03"})
"""States that say that the transaction came to nothing and may be begun again: not serializable, deadlock, waited too
long for a lock, going down or coming up."""

IN_THE_WAY = frozenset({"42P07", "42701", "42710"})
"""States that say that a table, an index, a column or a constraint is there already."""

_HOPELESS = (
    "password authentication failed",
    "does not exist",
    "pg_hba.conf",
    "not permitted to log in",
    "invalid connection option",
)
"""What a refused connection says that waiting does not help. There is no code for it."""

ANSWER_MARGIN = timedelta(seconds=2)
"""How much longer than the server we wait for a statement: its own word on it is the better one."""


def connect_args(limits: Limits) -> dict[str, Any]:
    """Return the options for the driver; those in the URL come on top."""
    return {
        "connect_timeout": whole_seconds(limits.connect),
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }


def prepare(engine: Engine, limits: Limits) -> None:
    """Have every connection of the engine set up."""
    settings = {
        "lock_timeout": milliseconds(limits.lock),
        "statement_timeout": milliseconds(limits.statement),
        "idle_in_transaction_session_timeout": milliseconds(limits.statement),
    }
    connect = _impatient_connect(limits.statement + ANSWER_MARGIN)

    def open_connection(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        return connect(*arguments, **options)

    def set_up(connection: Any, _record: Any) -> None:
        for name, value in settings.items():
            connection.execute(f"SET SESSION {name} = {value}")
        # A setting that is not committed is undone with the transaction.
        connection.commit()

    event.listen(engine, "do_connect", open_connection)
    event.listen(engine, "connect", set_up)


def set_autocommit(raw: Any, is_on: bool) -> None:
    """Set whether each statement on the driver's connection is a transaction of its own."""
    raw.autocommit = is_on


def code_of(error: BaseException | None) -> str | None:
    """Return the server's code of an error, if it has one."""
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else None


def is_hopeless(error: BaseException | None) -> bool:
    """Return whether a connection was refused for a reason that does not go away by itself."""
    return any(words in str(error) for words in _HOPELESS)


def _impatient_connect(limit: timedelta) -> Any:
    """Return what opens connections that do not wait for ever for a server that is alive and silent."""
    import psycopg  # here and not above, because only a user of PostgreSQL has it

    class ImpatientConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().wait(_bounded(gen, limit), *args, **kwargs)
            except TimeoutError:
                # Its answer may still come, and would be taken for that to the next statement.
                self.close()
                seconds = whole_seconds(limit)
                raise psycopg.OperationalError(f"the server did not answer within {seconds} s") from None

    return ImpatientConnection.connect


def _bounded(generator: Generator[Any, Any, Any], limit: timedelta) -> Generator[Any, Any, Any]:
    """Run the driver's generator, which is woken every 0.1 s, and raise TimeoutError in it after the limit."""
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
