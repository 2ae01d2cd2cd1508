"""Column types and the current time, with the same meaning on every database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Integer, String, Text, TypeDecorator, literal
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from precache.core.job_options import JobOptions
from precache.core.orders import ImageOrder, orders_document, read_orders
from precache.core.targets import Target

NAME = String(255)
"""Names of cells, hosts, aggregates, users: as long as Nova allows."""

UUID = String(36)

ENTRY = String(40)
"""The name of an entry of a cache: a SHA-1 in hexadecimal."""

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""Keys that grow with use. SQLite counts only a plain INTEGER by itself, which has 64 bits there."""

LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


# The arguments are SQLAlchemy's.
# ruff: noqa: ARG002


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC with microseconds and read as aware UTC."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def one_of(words: type[StrEnum]) -> Enum:
    """Return the type for a value of `words`, stored as text, so that a new value needs no change of the table."""
    return Enum(words, native_enum=False, length=32, values_callable=lambda kind: [word.value for word in kind])


class ServerInstant(FunctionElement[datetime]):
    """The current time plus `after`, in UTC with microseconds: the time of the statement, not of its transaction."""

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


class Orders(TypeDecorator[tuple[ImageOrder, ...]]):
    """Orders as JSON, stored as text because the databases' own JSON types differ."""

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: tuple[ImageOrder, ...] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(orders_document(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[ImageOrder, ...] | None:
        return None if value is None else read_orders(json.loads(value))


class Options(TypeDecorator[JobOptions]):
    """Options of a job as JSON, stored as text for the same reason."""

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: JobOptions | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value.document())

    def process_result_value(self, value: str | None, dialect: Dialect) -> JobOptions | None:
        return None if value is None else JobOptions.read(json.loads(value))


class TextMap(TypeDecorator[Mapping[str, str]]):
    """Texts by name as JSON, stored as text for the same reason."""

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(dict(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, str] | None:
        return None if value is None else json.loads(value)


class TargetText(TypeDecorator[Target]):
    """A target as JSON, stored as text for the same reason."""

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Target | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value.document())

    def process_result_value(self, value: str | None, dialect: Dialect) -> Target | None:
        return None if value is None else Target.read(json.loads(value))
