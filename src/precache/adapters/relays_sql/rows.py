"""Relays and their members as rows. What no statement looks for is in a JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, select

from precache.adapters.sql.tables import relay_members
from precache.core.relays import Relay, RelayKey, RelayMember, Source

_MEMBER_COLUMNS = ("host", "state", "version", "have_bytes", "offered_bytes", "rate_bytes_per_s")
_MEMBER_DOCUMENT = tuple(field for field in fields(RelayMember) if field.name not in (*_MEMBER_COLUMNS, "reported_at"))
_RELAY_COLUMNS = frozenset({"id", "key", "root", "size_bytes", "created_at", "members"})
_RELAY_DOCUMENT = tuple(field for field in fields(Relay) if field.name not in _RELAY_COLUMNS)
_CACHED_MEMBERS = 50_000  # with a kilobyte each; most members are as they were at the last report of another one

MEMBERS = select(
    relay_members.c.relay,
    *(relay_members.c[name] for name in _MEMBER_COLUMNS),
    relay_members.c.seen_at,
    relay_members.c.document,
).order_by(relay_members.c.relay, relay_members.c.position)


def relay_values(relay: Relay) -> dict[str, Any]:
    """Return the columns of a relay that its rules change."""
    return {
        "root": relay.root,
        "size_bytes": relay.size_bytes,
        "is_failed": bool(relay.reason),
        "document": _document(relay, _RELAY_DOCUMENT),
    }


def member_row(number: int, position: int, member: RelayMember) -> dict[str, Any]:
    return {"relay": number, "position": position, **member_values(member)}


def member_values(member: RelayMember) -> dict[str, Any]:
    columns = {name: getattr(member, name) for name in _MEMBER_COLUMNS}
    seen_at = member.reported_at or member.joined_at
    return columns | {"seen_at": seen_at, "document": _document(member, _MEMBER_DOCUMENT)}


def read_relay(row: Row[Any], members: Iterable[Any]) -> Relay:
    """Return a relay. members: rows of MEMBERS."""
    return Relay(
        id=row.id,
        key=RelayKey(row.cell, row.site, row.image, row.form),
        root=row.root,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        members=tuple(_read_member(*row[1:]) for row in members),
        **_read(json.loads(row.document), _RELAY_DOCUMENT),
    )


def load_members(connection: Connection, number: int) -> Sequence[Any]:
    return connection.execute(MEMBERS.where(relay_members.c.relay == number)).all()


@lru_cache(maxsize=_CACHED_MEMBERS)
def _read_member(*columns: Any) -> RelayMember:
    """Return a member from its columns, those of MEMBERS without the first."""
    *values, seen_at, document = columns
    plain = dict(zip(_MEMBER_COLUMNS, values, strict=True))
    return RelayMember(**plain, reported_at=seen_at, **_read(json.loads(document), _MEMBER_DOCUMENT))


def _document(value: Relay | RelayMember, of: Iterable[Any]) -> str:
    """Return these fields as JSON, without those that have their default."""
    given = ((field.name, getattr(value, field.name), field.default) for field in of)
    return json.dumps({name: _plain(each) for name, each, default in given if each != default})


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def _read(document: Mapping[str, Any], of: Iterable[Any]) -> dict[str, Any]:
    """Return the values of those of these fields that are there. Fields of a newer release are left out."""
    return {field.name: _typed(field.type, document[field.name]) for field in of if field.name in document}


def _typed(type_name: str, value: Any) -> Any:
    if type_name == "Source":
        return Source(value)
    if type_name.startswith("datetime"):
        return datetime.fromisoformat(value)
    return tuple(value) if isinstance(value, list) else value
