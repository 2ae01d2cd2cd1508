"""How long a host takes to list its cache."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from precache.adapters.clock_system import SystemClock
from precache.core.images import parse_image_id
from precache.imagecache.cache import ImageCache
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.listing import EntryLister

ENTRIES = 2000


def list_cache(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of listings of a cache of 2,000 entries with records.

    first: by a compute that has just started. again: by one that has listed the cache before.
    """
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="bench-inventory-") as name:
        folder = Path(name)
        cache = ImageCache(directory=folder / "_base", locks_directory=folder / "locks", clock=clock)
        cache.start()
        for number in range(ENTRIES):
            image = parse_image_id(str(UUID(int=number)))
            cache.records.write(_record(number))
            cache.path_of(image).write_bytes(b"image")
        times: dict[str, list[float]] = {"first": [], "again": []}
        for _ in range(rounds):
            lister = EntryLister(cache=cache, clock=clock)
            for kind in times:
                began = time.perf_counter()
                listed = lister.list()
                times[kind].append(time.perf_counter() - began)
                assert len(listed.entries) == ENTRIES
    return times


def _record(number: int) -> EntryRecord:
    return EntryRecord(
        image=parse_image_id(str(UUID(int=number))),
        image_name=f"image-{number:04}",
        digest=f"tree-sha256:{number:064x}",
        source="image service",
        source_digest=f"sha512:{number:0128x}",
        size_bytes=5,
        format="raw",
        requested_by="operator",
        cached_at=datetime.now(UTC),
    )
