"""What the hosts of the small cloud have reported of their caches.

cmp1 holds two images, and lacks a third, which has left the image service. cmp3, which is down, holds one. cmp2 has not
reported.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from precache.core.cache_entries import (
    Alarm,
    AlarmKind,
    CachedEntry,
    CacheReport,
    CacheSpace,
    EntryState,
    Removal,
    Verification,
    entry_name,
)
from precache.core.image_list import ImageFinding, ServiceStatus
from precache.core.pins import Pin
from tests.http.world import DEBIAN, UBUNTU, World

NAMELESS = "0123456789abcdef0123456789abcdef01234567"
"""The entry of an image that no host has a record of."""

AT = datetime(2026, 1, 1, tzinfo=UTC)


def report_caches(world: World) -> None:
    """Store the reports of the hosts; that of cmp3 is half a minute older than the present."""
    world.caches.store_reports([_report("cmp3", "cell2", _debian())])
    world.clock.advance(timedelta(seconds=30))
    pins = (Pin("job:aaaaaaaa-0000-4000-8000-000000000001", AT + timedelta(days=7)), Pin("", None))
    missing = CachedEntry(
        entry=entry_name(UBUNTU), image=UBUNTU, image_name="ubuntu", state=EntryState.MISSING, pins=pins[:1]
    )
    nameless = CachedEntry(entry=NAMELESS, size_bytes=7, allocated_bytes=7, disks=2)
    world.caches.store_reports([_report("cmp1", "cell1", _debian(pins=pins, disks=0), missing, nameless)])
    world.caches.note_statuses(
        [
            ImageFinding(entry_name(DEBIAN), ServiceStatus.ACTIVE, DEBIAN, "debian-12"),
            ImageFinding(entry_name(UBUNTU), ServiceStatus.GONE),
        ]
    )


def _debian(**more: object) -> CachedEntry:
    fields = {
        "size_bytes": 4096,
        "allocated_bytes": 1024,
        "format": "raw",
        "digest": "tree-sha256:" + "0" * 64,
        "source": "image service",
        "source_digest": "sha512:" + "0" * 128,
        "requested_by": "alice",
        "cached_at": AT,
        "last_used": AT,
        "verification": Verification.UNVERIFIED,
    }
    return CachedEntry(entry=entry_name(DEBIAN), image=DEBIAN, image_name="debian-12", **fields | more)  # type: ignore[arg-type]


def _report(host: str, cell: str, *entries: CachedEntry) -> CacheReport:
    return CacheReport(
        host=host,
        cell=cell,
        boot_id="boot",
        sequence=1,
        base=1,
        at=AT,
        space=CacheSpace(total_bytes=1000, free_bytes=400, used_bytes=100, promised_bytes=50, reserve_bytes=10),
        cache_id="cache-1",
        owner="nova",
        entries=entries,
        removals=(
            Removal(NAMELESS, None, AT, "unused for 1 day", 9),
            Removal(f"{entry_name(DEBIAN)}_20", None, AT, "unused for 1 h", 9),
        ),
        alarms=(Alarm(AlarmKind.MISSING, entry_name(UBUNTU), UBUNTU, "its pinned entry is gone", AT),),
    )
