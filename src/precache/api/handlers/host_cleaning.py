"""Has a host remove unused images from its cache at once."""

from __future__ import annotations

from collections.abc import Mapping
from threading import BoundedSemaphore
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.job_requests import find_host
from precache.api.handlers.views import rfc3339
from precache.core.cache_cleaning import CleanedEntry, CleanRequest
from precache.core.errors import TooManyCleanings
from precache.core.images import ImageId
from precache.ports.cache_inventory import CacheQueries
from precache.ports.host_caches import CacheCleaning
from precache.ports.inventory import HostQueries

CLEANINGS_AT_ONCE = 3
"""Each occupies a thread of the API for up to half a minute; the others stay free for other requests."""


class HostCleaning:
    """One method per operation."""

    def __init__(self, *, hosts: HostQueries, caches: CacheQueries, cleaning: CacheCleaning) -> None:
        self._hosts = hosts
        self._caches = caches
        self._cleaning = cleaning
        self._places = BoundedSemaphore(CLEANINGS_AT_ONCE)

    def clean(self, call: Call) -> Answer:
        """Return what the host has removed, or would remove, and why the rest stays."""
        host = find_host(self._hosts, call.params["host_name"]).name
        body = call.body or {}
        request = CleanRequest(body.get("dry_run", False), body.get("all", False), body.get("keep_days"))
        if not self._places.acquire(blocking=False):
            raise TooManyCleanings(CLEANINGS_AT_ONCE)
        try:
            # Before, because an image that was removed from the last host that had it is not known any more.
            reported = self._reported_images(host)
            result = self._cleaning.clean(host, request)
        finally:
            self._places.release()
        document = {
            "host": host,
            "dry_run": request.is_dry_run,
            "policy": result.policy or None,
            "bytes": result.bytes_freed,
            "removed": [_entry_view(entry, reported) for entry in result.removed],
            "kept": [_entry_view(entry, reported) for entry in result.kept],
        }
        return Answer({"cleaning": document})

    def _reported_images(self, host: str) -> dict[str, _Reported]:
        """Return the images that the host has reported, by the names of their entries."""
        entries = self._caches.list_entries(host)
        images = self._caches.find_images([each.entry for each in entries])
        found: dict[str, _Reported] = {}
        for each in entries:
            image = images.get(each.entry)
            id_, name = (None, None) if image is None else (image.image, image.name)
            found[each.entry] = (each.image or id_, each.image_name or name or None)
        return found


_Reported = tuple[ImageId | None, str | None]
"""The id and the name of an image, as far as they are known."""


def _entry_view(entry: CleanedEntry, reported: Mapping[str, _Reported]) -> dict[str, Any]:
    image, name = reported.get(entry.entry.partition("_")[0], (None, None))  # `<entry>_20` is a resized copy
    return {
        "entry": entry.entry,
        "image": entry.image or image,
        "name": name,
        "bytes": entry.size_bytes,
        "last_used": rfc3339(entry.last_used),
        "reason": entry.reason,
    }
