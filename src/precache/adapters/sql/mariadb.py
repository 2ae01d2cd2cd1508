"""The settings with which MariaDB and MySQL behave like the other databases: strict values, bounded waits."""

from __future__ import annotations

import inspect
from typing import Any

from sqlalchemy import Engine, event

from precache.adapters.sql.limits import Limits, whole_seconds
from precache.core.errors import DatabaseUrlRefused

UNDONE = frozenset({1020, 1047, 1053, 1205, 1213})
"""Codes after which the transaction is undone and may be repeated: row changed since it was read, server not part of
its cluster, server shutting down, wait for a lock too long, deadlock."""

PERMANENT_FAILURES = frozenset({1044, 1045, 1049, 1130, 1227, 1698, 2026, 2061})
"""Codes of refused connections for which waiting does not help: credentials, rights, no such database, encryption."""

ALREADY_EXISTS = frozenset({1050, 1060, 1061, 1826})
"""Codes for a table, a column, an index or a foreign key that exists already."""

CONSTRAINT_FAILED = 4025
"""The code of a CHECK constraint that failed, which the driver takes for a fault of the server."""


def connect_args(limits: Limits) -> dict[str, Any]:
    """Return the options for the driver; options in the URL take precedence."""
    return {
        "connect_timeout": whole_seconds(limits.connect),
        "read_timeout": whole_seconds(limits.statement),
        "write_timeout": whole_seconds(limits.statement),
    }


def prepare(engine: Engine, limits: Limits) -> None:
    """Register the setup of every connection. Raises DatabaseUrlRefused for an option that the driver lacks."""
    _check_options(engine)
    settings = (
        # A value that does not fit into a column is refused, not truncated.
        "sql_mode = 'TRADITIONAL'",
        f"innodb_lock_wait_timeout = {whole_seconds(limits.lock)}",
        f"lock_wait_timeout = {whole_seconds(limits.lock)}",
        # Only MariaDB reads this comment.
        f"character_set_results = utf8mb4 /*M! , idle_transaction_timeout = {whole_seconds(limits.statement)} */",
    )

    def set_up(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {', '.join(settings)}")

    event.listen(engine, "connect", set_up)


def set_autocommit(raw: Any, is_on: bool) -> None:
    """Set whether each statement on the driver's connection is a transaction of its own."""
    raw.autocommit(is_on)


def code_of(error: BaseException | None) -> int | None:
    """Return the server's or the driver's number of an error, if it has one."""
    code = error.args[0] if error is not None and error.args else None
    return code if isinstance(code, int) else None


def text_of(error: BaseException | None) -> str | None:
    """Return the text of an error without its number, if it has both."""
    has_both = code_of(error) is not None and error is not None and len(error.args) > 1
    return str(error.args[1]) if has_both and error is not None else None


def _check_options(engine: Engine) -> None:
    # The driver itself raises a TypeError for an unknown option, and only at the first connection.
    _, given = engine.dialect.create_connect_args(engine.url)
    connect: Any = getattr(engine.dialect.loaded_dbapi, "connect", None)
    unknown = set(given) - set(inspect.signature(connect).parameters)
    if unknown and engine.dialect.driver == "pymysql":
        raise DatabaseUrlRefused(f"the driver {engine.dialect.driver} has no option {', '.join(sorted(unknown))}")
