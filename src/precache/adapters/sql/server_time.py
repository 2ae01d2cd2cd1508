"""The present instant by the clock of the database's server, as an expression that each of them understands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from precache.adapters.sql.types import Instant


class ServerInstant(FunctionElement[datetime]):
    """Now plus `after`, in UTC with microseconds: when the statement is run, not when its transaction began."""

    inherit_cache = True
    type = Instant()

    def __init__(self, after: timedelta = timedelta()) -> None:
        super().__init__(literal(after // timedelta(microseconds=1), BigInteger()))


@compiles(ServerInstant, "postgresql")
def _postgresql(element: ServerInstant, compiler: Any, **options: Any) -> str:
    microseconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() AT TIME ZONE 'UTC' + {microseconds} * INTERVAL '1 microsecond')"


@compiles(ServerInstant, "mysql")
@compiles(ServerInstant, "mariadb")
def _mariadb(element: ServerInstant, compiler: Any, **options: Any) -> str:
    return f"(UTC_TIMESTAMP(6) + INTERVAL {compiler.process(element.clauses, **options)} MICROSECOND)"


def utc_now() -> datetime:
    """Return the present instant by the clock of this machine."""
    return datetime.now(UTC)
