"""Has a host remove unused images from its cache at once."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.job_requests import find_host
from precache.api.handlers.views import rfc3339
from precache.core.cache_cleaning import CleanedEntry, CleanRequest
from precache.core.errors import TooManyCleanings
from precache.ports.host_caches import CacheCleaning
from precache.ports.inventory import HostQueries

CLEANINGS_AT_ONCE = 3
"""Each occupies a thread of the API for up to half a minute; the others stay free for other requests."""


class HostCleaning:
    """One method per operation."""

    def __init__(self, *, hosts: HostQueries, cleaning: CacheCleaning) -> None:
        self._hosts = hosts
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
            result = self._cleaning.clean(host, request)
        finally:
            self._places.release()
        document = {
            "host": host,
            "dry_run": request.is_dry_run,
            "policy": result.policy or None,
            "bytes": result.bytes_freed,
            "removed": [_entry_view(entry) for entry in result.removed],
            "kept": [_entry_view(entry) for entry in result.kept],
        }
        return Answer({"cleaning": document})


def _entry_view(entry: CleanedEntry) -> dict[str, Any]:
    return {
        "entry": entry.entry,
        "image": entry.image,
        "bytes": entry.size_bytes,
        "last_used": rfc3339(entry.last_used),
        "reason": entry.reason,
    }
