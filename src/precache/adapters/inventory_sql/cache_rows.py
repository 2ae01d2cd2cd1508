"""The rows of the three tables of caches: made from reports, and read for the views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from precache.core.cache_documents import (
    alarm_document,
    entry_document,
    read_alarm,
    read_entry,
    read_removal,
    read_space,
    removal_document,
    space_document,
)
from precache.core.cache_entries import CachedEntry, CacheReport
from precache.core.cache_inventory import NUMBER_NAMES, CachedImage, CacheNumbers, HostCache
from precache.core.images import ImageId

MARKS = 2**63
"""Marks and their sums are from 0 to this number less one."""

_IN_COLUMNS = ("entry", "image", "image_name", "state", "verification", "disks", "allocated_bytes")
_WORDS = ("cache_id", "owner", "policy", "unsupported")


def entry_row(host_id: int, entry: CachedEntry) -> dict[str, Any]:
    """Return the row with its mark."""
    document = entry_document(entry)
    columns = [document.pop(name, None) for name in _IN_COLUMNS]
    rest = json.dumps(document)
    mark = hashlib.blake2b(f"{columns}{rest}".encode(), digest_size=8, usedforsecurity=False).digest()
    return {
        "host_id": host_id,
        "entry": entry.entry,
        "state": entry.state,
        "verification": entry.verification,
        "is_pinned": bool(entry.pins),
        "disks": entry.disks,
        "allocated_bytes": entry.allocated_bytes,
        "mark": int.from_bytes(mark) % MARKS,
        "document": rest,
    }


def read_entry_row(row: Any) -> CachedEntry:
    """Return the entry of a row that also has the image and its name."""
    known = {"entry": row.entry, "state": row.state, "verification": row.verification, "disks": row.disks}
    images = {"image": row.image, "image_name": row.name, "allocated_bytes": row.allocated_bytes}
    return read_entry(json.loads(row.document) | known | images)


def cache_document(report: CacheReport) -> str:
    return json.dumps(
        {name: getattr(report, name) for name in (*_WORDS, "unlisted")}
        | {
            "space": None if report.space is None else space_document(report.space),
            "removals": [removal_document(each) for each in report.removals],
            "alarms": [alarm_document(each) for each in report.alarms],
        }
    )


def read_cache(row: Any, now: datetime) -> HostCache:
    fields: Mapping[str, Any] = json.loads(row.document)
    return HostCache(
        host=row.host,
        reported_at=row.reported_at,
        age=now - row.reported_at,
        numbers=read_numbers(row),
        unlisted=fields["unlisted"],
        space=None if fields["space"] is None else read_space(fields["space"]),
        removals=tuple(map(read_removal, fields["removals"])),
        alarms=tuple(map(read_alarm, fields["alarms"])),
        **{name: fields[name] for name in _WORDS},
    )


def read_image_row(row: Any) -> CachedImage:
    image = None if row.image is None else ImageId(row.image)
    return CachedImage(row.entry, image, row.name, read_numbers(row), row.status, row.status_at)


def read_numbers(row: Any) -> CacheNumbers:
    return CacheNumbers(*(getattr(row, name) for name in NUMBER_NAMES))
