"""Measures how long a host takes to list its cache: `python -m bench.listing [ENTRIES]`.

`measure_listing` is for the benchmark of the inventory. The last line printed is JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from precache.adapters.clock_system import SystemClock
from precache.core.images import parse_image_id
from precache.core.pins import Pin
from precache.imagecache.entry_record import FROM_IMAGE_SERVICE, EntryRecord
from precache.imagecache.listing import EntryLister
from precache.imagecache.names import entry_name, record_name
from precache.virt.setup import LocalCache

ENTRIES = 2_000
ROUNDS = 11


def measure_listing(entries: int = ENTRIES, rounds: int = ROUNDS) -> dict[str, float]:
    """Return two medians in ms: of the first list of a process, and of later ones, which read only changed records."""
    with TemporaryDirectory(dir="/var/tmp") as folder:
        clock = SystemClock()
        cache = LocalCache(Path(folder)).open(clock)
        cache.start()
        _fill(cache.directory, entries, clock)
        listers = [EntryLister(cache=cache, clock=clock) for _ in range(rounds)]
        first = [_list_ms(lister, entries) for lister in listers]
        again = [_list_ms(lister, entries) for lister in listers]
    return {"host_listing_ms": statistics.median(first), "host_listing_again_ms": statistics.median(again)}


def _fill(directory: Path, entries: int, clock: SystemClock) -> None:
    for _ in range(entries):
        image, job = parse_image_id(str(uuid.uuid4())), str(uuid.uuid4())
        record = EntryRecord(
            image=image,
            image_name="debian-12-generic-amd64",
            digest=f"tree-sha256:{'ab' * 32}",
            source=FROM_IMAGE_SERVICE,
            source_digest=f"sha512:{'cd' * 64}",
            size_bytes=1,
            format="raw",
            requested_by=job,
            cached_at=clock.now(),
            verified_at=clock.now(),
            pins=(Pin(f"job:{job}", clock.now()),),
        )
        (directory / record_name(entry_name(image))).write_bytes(record.text())
        (directory / entry_name(image)).write_bytes(b"x")


def _list_ms(lister: EntryLister, entries: int) -> float:
    start = time.perf_counter()
    listed = len(lister.list().entries)
    seconds = time.perf_counter() - start
    if listed != entries:
        raise RuntimeError(f"{listed} of {entries} entries were listed")
    return seconds * 1000


if __name__ == "__main__":
    print(json.dumps(measure_listing(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)))
