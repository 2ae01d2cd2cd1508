"""The query of a listing: filters, order, limit and marker. Pure.

As in Glance, an unknown key is a property of images. These images have none, so such a filter matches nothing (old
clients send `names=`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

Record = Mapping[str, Any]

DEFAULT_LIMIT = 25
MAX_LIMIT = 1000

_MANY = frozenset({"id", "name", "status", "disk_format", "container_format"})
_SORTABLE = _MANY | {"size", "created_at", "updated_at"}
_TIMES = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__", "eq": "__eq__", "neq": "__ne__"}


class BadQuery(ValueError):
    """The query is not valid; the text says which part."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing. next_query: for the following page; None at the end."""

    records: tuple[Record, ...]
    next_query: str | None


def select(records: Sequence[Record], query: Mapping[str, str]) -> Page:
    """Return the page of `records` for the query. Raises BadQuery."""
    chosen = [record for record in records if _matches(record, query)]
    for key, descending in reversed(_order(query)):
        chosen.sort(key=lambda record: _sortable(record[key]), reverse=descending)
    chosen = _after(chosen, query.get("marker"))
    limit = _limit(query.get("limit"))
    page = tuple(chosen[:limit])
    more = len(chosen) > len(page) and page
    following = urlencode({**query, "marker": page[-1]["id"]}) if more else None
    return Page(page, following)


def _matches(record: Record, query: Mapping[str, str]) -> bool:
    filters = {key: value for key, value in query.items() if key not in _CONTROLS}
    filters.setdefault("os_hidden", "false")
    return all(_FILTERS.get(key, _equal)(record, key, value) for key, value in filters.items())


def _equal(record: Record, key: str, value: str) -> bool:
    return key in record and record[key] is not None and _text(record[key]) == value


def _one_of(record: Record, key: str, value: str) -> bool:
    if not value.startswith("in:"):
        return _equal(record, key, value.removeprefix("eq:"))
    names = [name.strip('"') for name in value.removeprefix("in:").split(",")]
    return any(_equal(record, key, name) for name in names)


def _visible(record: Record, key: str, value: str) -> bool:
    return value == "all" or _equal(record, key, value)


def _flag(record: Record, key: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadQuery(f"{key} must be true or false, not {value!r}")
    return _equal(record, key, value.lower())


def _tagged(record: Record, _key: str, value: str) -> bool:
    return value in record["tags"]


def _size(record: Record, key: str, value: str) -> bool:
    bound, size = _whole(key, value), record["size"]
    return size is not None and (size >= bound if key == "size_min" else size <= bound)


def _time(record: Record, key: str, value: str) -> bool:
    operator, separator, instant = value.partition(":")
    if not separator or operator not in _TIMES:
        operator, instant = "eq", value
    return bool(getattr(record[key], _TIMES[operator])(instant))


_FILTERS: Mapping[str, Callable[[Record, str, str], bool]] = {
    **dict.fromkeys(_MANY, _one_of),
    "visibility": _visible,
    "os_hidden": _flag,
    "protected": _flag,
    "tag": _tagged,
    "size_min": _size,
    "size_max": _size,
    "created_at": _time,
    "updated_at": _time,
    "member_status": lambda _record, _key, _value: True,  # about shared images: there are none
}
_CONTROLS = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir"})


def _order(query: Mapping[str, str]) -> list[tuple[str, bool]]:
    """Return the sort keys, most important first, each with True if it descends; newest first by default."""
    if "sort" in query:
        pairs = [part.partition(":")[::2] for part in query["sort"].split(",")]
        order = [(key.strip(), direction.strip() or "desc") for key, direction in pairs]
    else:
        order = [(query.get("sort_key", "created_at"), query.get("sort_dir", "desc"))]
    for key, direction in order:
        if key not in _SORTABLE or direction not in ("asc", "desc"):
            raise BadQuery(f"cannot sort by {key!r} in direction {direction!r}")
    return [(key, direction == "desc") for key, direction in [*order, ("id", order[-1][1])]]


def _after(records: list[Record], marker: str | None) -> list[Record]:
    if marker is None:
        return records
    ids = [record["id"] for record in records]
    if marker not in ids:
        raise BadQuery(f"no image has the id {marker!r} given as marker")
    return records[ids.index(marker) + 1 :]


def _limit(text: str | None) -> int:
    return DEFAULT_LIMIT if text is None else min(_whole("limit", text), MAX_LIMIT)


def _whole(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise BadQuery(f"{key} must be a whole number that is not negative, not {text!r}")
    return int(text)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
