"""Entries, spaces, alarms and removals as JSON objects, for messages and databases.

A field with its default value is left out. Readers ignore unknown fields. They raise ValueError, which names the field,
for what is not valid; so they can read what another host has sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from precache.core.cache_entries import (
    Alarm,
    AlarmKind,
    CachedEntry,
    CacheSpace,
    EntryState,
    Removal,
    Verification,
    entry_name,
)
from precache.core.errors import InvalidImageId
from precache.core.images import ImageId, parse_image_id
from precache.core.pins import MOST_PINS, Pin
from precache.core.text import plain_line

_MOST_BYTES = 2**63 - 1
_MOST_ALLOCATED = 2**46
"""Of one entry, 64 TiB: so the sums over all entries of a host, and over 100,000 hosts, are numbers of a database."""

_MOST_DISKS = 2**31 - 1
_NAME_LENGTH = 255
_DIGEST_LENGTH = 300

_ENTRY = re.compile(r"[0-9a-f]{40}")

_Word = TypeVar("_Word", bound=StrEnum)
_Item = TypeVar("_Item")


def entry_document(entry: CachedEntry) -> dict[str, Any]:
    document: dict[str, Any] = {"entry": entry.entry, "verification": entry.verification.value}
    if entry.state is not EntryState.PRESENT:
        document["state"] = entry.state.value
    for name in _TEXTS:
        if value := getattr(entry, name):
            document[name] = value
    for name in ("image", "size_bytes", "allocated_bytes"):
        if value := getattr(entry, name):
            document[name] = value
    for name in _TIMES:
        if (instant := getattr(entry, name)) is not None:
            document[name] = instant_text(instant)
    if entry.pins:
        document["pins"] = [_pin_document(pin) for pin in entry.pins[:MOST_PINS]]
    if entry.disks is not None:
        document["disks"] = entry.disks
    return document


def read_entry(fields: Mapping[str, Any]) -> CachedEntry:
    """Return the entry. An image that does not belong to the name of the entry is not used."""
    name = read_entry_name(fields.get("entry"))
    image = read_image(fields.get("image"))
    get = fields.get
    return CachedEntry(
        entry=name,
        image=image if image is not None and entry_name(image) == name else None,
        image_name=_text(get("image_name"), "image_name", _NAME_LENGTH),
        state=_word(EntryState, get("state", "present"), "state"),
        size_bytes=_number(get("size_bytes", 0), "size_bytes"),
        allocated_bytes=_number(get("allocated_bytes", 0), "allocated_bytes", _MOST_ALLOCATED),
        format=_text(get("format"), "format", _NAME_LENGTH),
        digest=_text(get("digest"), "digest", _DIGEST_LENGTH),
        source=_text(get("source"), "source", _NAME_LENGTH),
        source_digest=_text(get("source_digest"), "source_digest", _DIGEST_LENGTH),
        requested_by=_text(get("requested_by"), "requested_by", _NAME_LENGTH),
        cached_at=read_instant(get("cached_at"), "cached_at"),
        last_used=read_instant(get("last_used"), "last_used"),
        verified_at=read_instant(get("verified_at"), "verified_at"),
        verification=_word(Verification, get("verification", "unverifiable"), "verification"),
        pins=read_list(get("pins"), "pins", MOST_PINS, _read_pin),
        disks=None if get("disks") is None else _number(get("disks"), "disks", _MOST_DISKS),
    )


_TEXTS = ("image_name", "format", "digest", "source", "source_digest", "requested_by")
_TIMES = ("cached_at", "last_used", "verified_at")


def space_document(space: CacheSpace) -> dict[str, int]:
    return {
        "total_bytes": space.total_bytes,
        "free_bytes": space.free_bytes,
        "used_bytes": space.used_bytes,
        "promised_bytes": space.promised_bytes,
        "reserve_bytes": space.reserve_bytes,
    }


def read_space(fields: Mapping[str, Any]) -> CacheSpace:
    names = ("total_bytes", "free_bytes", "used_bytes", "promised_bytes", "reserve_bytes")
    return CacheSpace(*(_number(fields.get(name, 0), name) for name in names))


def alarm_document(alarm: Alarm) -> dict[str, Any]:
    return {
        "kind": alarm.kind.value,
        "entry": alarm.entry,
        "image": alarm.image,
        "text": alarm.text,
        "since": instant_text(alarm.since),
    }


def read_alarm(fields: Mapping[str, Any]) -> Alarm:
    return Alarm(
        _word(AlarmKind, fields.get("kind"), "kind"),
        _text(fields.get("entry"), "entry", _NAME_LENGTH),  # of some kinds it is a host
        read_image(fields.get("image")),
        _text(fields.get("text"), "text"),
        _needed_instant(fields.get("since"), "since"),
    )


def removal_document(removal: Removal) -> dict[str, Any]:
    return {
        "entry": removal.entry,
        "image": removal.image,
        "at": instant_text(removal.at),
        "reason": removal.reason,
        "bytes_freed": removal.bytes_freed,
    }


def read_removal(fields: Mapping[str, Any]) -> Removal:
    return Removal(
        _text(fields.get("entry"), "entry", _NAME_LENGTH),  # or a resized copy, or a blank disk
        read_image(fields.get("image")),
        _needed_instant(fields.get("at"), "at"),
        _text(fields.get("reason"), "reason"),
        _number(fields.get("bytes_freed", 0), "bytes_freed"),
    )


def read_list(value: object, name: str, most: int, read: Callable[[Mapping[str, Any]], _Item]) -> tuple[_Item, ...]:
    """Return the objects of a list of at most `most`; none if the field is left out."""
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > most:
        raise ValueError(f"{name} is not a list of at most {most}")
    if not all(isinstance(item, Mapping) for item in value):
        raise ValueError(f"{name} has an item that is not an object")
    return tuple(map(read, value))


def read_entry_name(value: object) -> str:
    if not isinstance(value, str) or not _ENTRY.fullmatch(value):
        raise ValueError("entry is not the name of an entry")
    return value


def read_image(value: object) -> ImageId | None:
    if value is None:
        return None
    try:
        return parse_image_id(value if isinstance(value, str) else "")
    except InvalidImageId:
        raise ValueError("image is not an image id") from None


def instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()


def read_instant(value: object, name: str) -> datetime | None:
    """Return the instant in UTC; None for null or a missing field."""
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value if isinstance(value, str) else "")
        if instant.tzinfo is None:
            raise ValueError
        return instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is not a time") from None


def _needed_instant(value: object, name: str) -> datetime:
    instant = read_instant(value, name)
    if instant is None:
        raise ValueError(f"{name} is missing")
    return instant


def _pin_document(pin: Pin) -> dict[str, str]:
    return {"by": pin.by} | ({} if pin.until is None else {"until": instant_text(pin.until)})


def _read_pin(fields: Mapping[str, Any]) -> Pin:
    return Pin(_text(fields.get("by"), "by", _NAME_LENGTH), read_instant(fields.get("until"), "until"))


def _text(value: object, name: str, length: int = 1000) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is not text")
    if len(value) <= length and value.isascii() and value.isprintable():  # most; thousands are read in a second
        return value
    return plain_line(value, length)


def _number(value: object, name: str, most: int = _MOST_BYTES) -> int:
    if type(value) is not int or not 0 <= value <= most:  # in Python a bool is an int
        raise ValueError(f"{name} is not a number from 0 to {most}")
    return value


def _word(words: type[_Word], value: object, name: str) -> _Word:
    try:
        return words(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{name} is not known") from None
