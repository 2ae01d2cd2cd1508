"""Reads the fields of received messages. What has not its type is Malformed.

From a list, invalid items are dropped, with one line in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from precache.core.errors import InvalidImageId
from precache.core.images import ImageId, parse_image_id
from precache.core.names import NAME_RULE, is_name

_log = logging.getLogger(__name__)

MOST_ITEMS = 10_000
MOST_BYTES = 2**63 - 1

MOST_IMAGE_BYTES = 2**46
"""More than any image has, 64 TiB. The sum over 100,000 hosts is still a number of a database."""

_T = TypeVar("_T")


class Malformed(Exception):
    """A message is invalid; the text names the field, without its value."""


def read_valid(what: str, items: Sequence[object], read: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    good: list[_T] = []
    faults: list[str] = []
    for item in items:
        try:
            if not isinstance(item, Mapping):
                raise Malformed("it is not an object")
            good.append(read(item))
        except Malformed as fault:
            faults.append(str(fault))
    if faults:
        _log.warning("Of %i messages with %s, %i were dropped; the first: %s", len(items), what, len(faults), faults[0])
    return good


def check_host(message: Mapping[str, Any], host: str) -> None:
    if read_text(message, "host") != host:
        raise Malformed("host is not the name of this host")


def read_items(message: Mapping[str, Any], field: str, most: int = MOST_ITEMS) -> Sequence[object]:
    value = message.get(field)
    if not isinstance(value, list) or len(value) > most:
        raise Malformed(f"{field} is not a list of at most {most}")
    return value


def read_text(message: Mapping[str, Any], field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str):
        raise Malformed(f"{field} is not text")
    return value


def read_name(message: Mapping[str, Any], field: str) -> str:
    value = read_text(message, field)
    if not is_name(value):
        raise Malformed(f"{field} is not a name of {NAME_RULE}")
    return value


def read_image(value: object) -> ImageId:
    try:
        return parse_image_id(value if isinstance(value, str) else "")
    except InvalidImageId:
        raise Malformed("image is not an image id") from None


def read_size(message: Mapping[str, Any], field: str, most: int = MOST_IMAGE_BYTES) -> int:
    """Return a number of bytes, 0 if there is none. Raises Malformed."""
    value = message.get(field, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Malformed(f"{field} is not a number of bytes")
    return value


def read_count(message: Mapping[str, Any], field: str, most: int, default: int = 0) -> int:
    """Return a whole number from 0 to `most`; `default` if the field is left out."""
    value = message.get(field, default)
    if type(value) is not int or not 0 <= value <= most:  # in Python a bool is an int
        raise Malformed(f"{field} is not a number from 0 to {most}")
    return value


def read_flag(message: Mapping[str, Any], field: str) -> bool:
    """Return the flag; a missing one is False. Raises Malformed."""
    value = message.get(field, False)
    if not isinstance(value, bool):
        raise Malformed(f"{field} is not true or false")
    return value


def instant_text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()


def read_instant(value: object) -> datetime | None:
    """Return the instant in UTC; None for a value that is not an instant, because nothing depends on it."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value)
        return instant.astimezone(UTC) if instant.tzinfo else None
    except (ValueError, OverflowError):  # the latter in the first and last hours of the calendar
        return None
