"""Makes and reads the field `cache_report` of a heartbeat: what a host reports of its cache.

The content is compressed. It stays so until it is stored: the reports of thousands of hosts may wait for that.
"""

from __future__ import annotations

import binascii
import json
import logging
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from precache.adapters.bus_oslo.fields import Malformed, read_count, read_name, read_text
from precache.core.cache_documents import (
    alarm_document,
    entry_document,
    read_alarm,
    read_entry,
    read_entry_name,
    read_instant,
    read_list,
    read_removal,
    read_space,
    removal_document,
    space_document,
)
from precache.core.cache_entries import CacheReport
from precache.core.text import plain_line
from precache.rules.cache_changes import MOST_ENTRIES

_log = logging.getLogger(__name__)

MOST_BYTES = 1 << 23
"""Of the content. Five thousand usual entries have half of it. A host leaves out entries that do not fit."""

MOST_PACKED_BYTES = 1 << 22
"""Of the compressed content, as text."""

_ROOM_FOR_ENTRIES = MOST_BYTES - (1 << 20)
_MOST_NUMBER = 2**63 - 1
_MOST_LISTED = 1000  # of alarms and removals; a host keeps fewer
_LEVEL = 6

_T = TypeVar("_T")


def report_message(report: CacheReport) -> dict[str, Any]:
    """Return the field. Entries that do not fit are left out and counted."""
    report, entries = _fitting(report)
    content = {
        "at": report.at.isoformat(),
        "cache_id": report.cache_id,
        "owner": report.owner,
        "policy": report.policy,
        "unsupported": report.unsupported,
        "unlisted": report.unlisted,
        "space": None if report.space is None else space_document(report.space),
        "gone": report.gone,
        "removals": [removal_document(each) for each in report.removals],
        "alarms": [alarm_document(each) for each in report.alarms],
    }
    text = f'{json.dumps(content)[:-1]}, "entries": [{", ".join(entries)}]}}'
    return {
        "host": report.host,
        "boot_id": report.boot_id,
        "sequence": report.sequence,
        "base": report.base,
        "content": b64encode(zlib.compress(text.encode(), _LEVEL)).decode(),
    }


def _fitting(report: CacheReport) -> tuple[CacheReport, list[str]]:
    """Return the report and its entries as JSON, without entries that do not fit."""
    entries: list[str] = []
    room = _ROOM_FOR_ENTRIES
    for each in report.entries:
        text = json.dumps(entry_document(each))
        room -= len(text) + 2
        if room < 0:
            break
        entries.append(text)
    left_out = len(report.entries) - len(entries)
    return replace(report, unlisted=report.unlisted + left_out), entries


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """The port `PackedReport`: a report as it was received on the bus of `cell`."""

    host: str
    cell: str
    boot_id: str
    sequence: int
    base: int
    content: bytes

    @property
    def is_full(self) -> bool:
        return self.base == self.sequence

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def unpack(self) -> CacheReport | None:
        try:
            return self._read(_unpacked(self.content))
        except (Malformed, ValueError) as fault:
            _log.warning("A report of host %s in cell %s on its cache was dropped: %s", self.host, self.cell, fault)
            return None

    def _read(self, content: Mapping[str, Any]) -> CacheReport:
        listed = read_list(content.get("entries"), "entries", MOST_ENTRIES, dict)
        gone = content.get("gone", [])
        if not isinstance(gone, list) or len(gone) > 2 * MOST_ENTRIES:
            raise Malformed("gone is not a list of names")
        space = content.get("space")
        if not isinstance(space, Mapping | None):
            raise Malformed("space is not an object")
        return CacheReport(
            host=self.host,
            cell=self.cell,
            boot_id=self.boot_id,
            sequence=self.sequence,
            base=self.base,
            at=read_instant(content.get("at"), "at") or datetime.min.replace(tzinfo=UTC),
            space=None if space is None else read_space(space),
            cache_id=_line(content, "cache_id", 255),
            owner=_line(content, "owner", 32),
            policy=_line(content, "policy", 32),
            unsupported=_line(content, "unsupported"),
            unlisted=read_count(content, "unlisted", _MOST_NUMBER),
            entries=self._valid("entry", listed, read_entry),
            gone=tuple(map(read_entry_name, gone)),
            removals=self._valid("removal", _listed(content, "removals"), read_removal),
            alarms=self._valid("alarm", _listed(content, "alarms"), read_alarm),
        )

    def _valid(
        self, what: str, items: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], _T]
    ) -> tuple[_T, ...]:
        """Return the items that are valid: a newer host may report something that is not known here."""
        good: list[_T] = []
        faults: list[str] = []
        for item in items:
            try:
                good.append(read(item))
            except ValueError as fault:
                faults.append(str(fault))
        if faults:
            _log.warning(
                "In a report of host %s in cell %s, %i of the kind %s were left out; the first: %s",
                self.host, self.cell, len(faults), what, faults[0],
            )  # fmt: skip
        return tuple(good)


def read_report(message: Mapping[str, Any], cell: str) -> ReceivedReport | None:
    """Return the report in a heartbeat, still packed; None if there is none. Raises Malformed."""
    field = message.get("cache_report")
    if field is None:
        return None
    if not isinstance(field, Mapping):
        raise Malformed("cache_report is not an object")
    text = read_text(field, "content")
    if len(text) > MOST_PACKED_BYTES:
        raise Malformed(f"content has more than {MOST_PACKED_BYTES} characters")
    try:
        content = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("content is not base64") from None
    sequence = read_count(field, "sequence", _MOST_NUMBER)
    base = read_count(field, "base", sequence)
    return ReceivedReport(read_name(field, "host"), cell, read_name(field, "boot_id"), sequence, base, content)


def _unpacked(content: bytes) -> Mapping[str, Any]:
    """Return the object. Raises Malformed; a content that would become too large is not unpacked further."""
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(content, MOST_BYTES)
        if not inflating.eof:
            raise Malformed(f"content is not whole, or has more than {MOST_BYTES} bytes")
        document = json.loads(text)
    except (zlib.error, ValueError, RecursionError):
        raise Malformed("content is not compressed JSON") from None
    if not isinstance(document, Mapping):
        raise Malformed("content is not an object")
    return document


def _listed(content: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    return read_list(content.get(name), name, _MOST_LISTED, dict)


def _line(content: Mapping[str, Any], name: str, length: int = 1000) -> str:
    return plain_line(read_text(content, name), length) if content.get(name) else ""
