"""Reports and entries of caches for the suites of their store."""

from datetime import timedelta
from uuid import UUID

from precache.core.cache_entries import CachedEntry, CacheReport, CacheSpace, Verification, entry_name
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.pins import Pin
from tests.contract.job_values import NOW

SPACE = CacheSpace(total_bytes=1000, free_bytes=400, used_bytes=300, promised_bytes=20, reserve_bytes=50)
PIN = Pin("job:7", NOW + timedelta(days=1))


def image(number):
    return parse_image_id(str(UUID(int=number)))


def entry_of(number):
    return entry_name(image(number))


def entry(number, **fields):
    """Return the entry of an image, with its record."""
    return CachedEntry(
        **{
            "entry": entry_of(number),
            "image": image(number),
            "image_name": f"image-{number}",
            "size_bytes": 100,
            "allocated_bytes": 60,
            "verification": Verification.UNVERIFIED,
            "last_used": NOW,
        }
        | fields
    )


def full(*numbers, host="cmp-1", sequence=1, boot="boot-1", **fields):
    """Return a full report. numbers: of images, or entries."""
    return CacheReport(
        **{
            "host": host,
            "cell": "cell1",
            "boot_id": boot,
            "sequence": sequence,
            "base": sequence,
            "at": NOW,
            "space": SPACE,
            "entries": tuple(each if isinstance(each, CachedEntry) else entry(each) for each in numbers),
        }
        | fields
    )


def change(*numbers, base=1, sequence=2, gone=(), **fields):
    """Return a report of changes since the full report `base`."""
    return full(*numbers, sequence=sequence, base=base, gone=tuple(map(entry_of, gone)), **fields)


def beat(stores, *hosts, cell="cell1"):
    stores.host_reports.store_heartbeats([Heartbeat(host, cell, "libvirt", NOW) for host in hosts])


def held(stores, host="cmp-1"):
    """Return the numbers of the images that the host is said to hold."""
    numbers = {entry_of(number): number for number in range(300)}
    return sorted(numbers[each.entry] for each in stores.caches.list_entries(host))
