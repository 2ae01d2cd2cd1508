"""Caches, their entries and the images in them, as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from precache.api.handlers.views import rfc3339
from precache.core.cache_entries import Alarm, CachedEntry, Removal, Verification
from precache.core.cache_inventory import CachedImage, CacheNumbers, HostCache
from precache.core.pins import Pin

UNKNOWN = "unknown"
"""The status of an image of which the image service was not asked, or of which it did not say enough."""


def named_entries(cache: HostCache) -> list[str]:
    """Return the entries that the alarms and removals of the cache are about."""
    items: list[Alarm | Removal] = [*cache.alarms, *cache.removals]
    return list({_entry_of(each.entry) for each in items if each.entry})


def cache_view(cache: HostCache | None, images: Mapping[str, CachedImage]) -> dict[str, Any] | None:
    """Return the cache of a host without its entries; None if the host has not reported.

    images: those of `named_entries` that some host has, by entry.
    """
    if cache is None:
        return None
    return {
        "reported_at": rfc3339(cache.reported_at),
        "report_age_s": seconds(cache.age),
        "cache_id": cache.cache_id or None,
        "owner": cache.owner or None,
        "policy": cache.policy or None,
        "unsupported": cache.unsupported or None,
        "space": None if cache.space is None else asdict(cache.space),
        "entries": numbers_view(cache.numbers) | {"unlisted": cache.unlisted},
        "alarms": [_alarm(alarm, images) for alarm in cache.alarms],
        "removals": [_removal(removal, images) for removal in cache.removals],
    }


def numbers_view(numbers: CacheNumbers) -> dict[str, int]:
    return asdict(numbers) | {"unverified": numbers.count(Verification.UNVERIFIED)}


def status_of(image: CachedImage | None) -> str:
    """Return the status of the image in the image service."""
    return UNKNOWN if image is None or image.status is None else image.status


def image_view(image: CachedImage) -> dict[str, Any]:
    """Return one image on all hosts."""
    numbers = numbers_view(image.numbers)
    return {
        "entry": image.entry,
        "image": image.image,
        "name": image.name or None,
        "status": status_of(image),
        "status_at": rfc3339(image.status_at),
        "hosts": numbers.pop("present"),
        **numbers,
    }


def entry_view(entry: CachedEntry) -> dict[str, Any]:
    """Return what is known of an image on one host, without what is the same on all hosts."""
    return {
        "state": entry.state.value,
        "size_bytes": entry.size_bytes,
        "allocated_bytes": entry.allocated_bytes,
        "format": entry.format or None,
        "digest": entry.digest or None,
        "source": entry.source or None,
        "source_digest": entry.source_digest or None,
        "requested_by": entry.requested_by or None,
        "cached_at": rfc3339(entry.cached_at),
        "last_used": rfc3339(entry.last_used),
        "verified_at": rfc3339(entry.verified_at),
        "verification": entry.verification.value,
        "pins": [_pin(pin) for pin in entry.pins],
        "disks": entry.disks,
    }


def age_s(reported_at: datetime, now: datetime) -> float:
    """Return how old a report is, in seconds. The clocks of database and API may differ a little."""
    return seconds(max(now - reported_at, timedelta()))


def seconds(duration: timedelta) -> float:
    return round(duration.total_seconds(), 1)


def _pin(pin: Pin) -> dict[str, Any]:
    return {"by": pin.by or None, "until": rfc3339(pin.until)}


def _entry_of(name: str) -> str:
    """Return the entry that a file is of; `<entry>_20` is a resized copy."""
    return name.partition("_")[0]


def _image_of(item: Alarm | Removal, images: Mapping[str, CachedImage]) -> dict[str, str | None]:
    """Return the id and the name of the image, as far as they are known."""
    image = images.get(_entry_of(item.entry))
    if image is None:
        return {"image": item.image, "name": None}
    return {"image": item.image or image.image, "name": image.name or None}


def _alarm(alarm: Alarm, images: Mapping[str, CachedImage]) -> dict[str, Any]:
    return {
        "kind": alarm.kind.value,
        "entry": alarm.entry or None,
        **_image_of(alarm, images),
        "text": alarm.text,
        "since": rfc3339(alarm.since),
    }


def _removal(removal: Removal, images: Mapping[str, CachedImage]) -> dict[str, Any]:
    return {
        "entry": removal.entry,
        **_image_of(removal, images),
        "at": rfc3339(removal.at),
        "reason": removal.reason,
        "bytes_freed": removal.bytes_freed,
    }
