"""The entries whose content is not hashed yet, and the hashing of them after they were published.

The image service has no digest of a converted disk. To hash it before it is published would delay the boots that wait
for it (adr/0021). A process that ends in between leaves a record without a digest, which the next one completes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from precache.core.errors import CacheUnusable
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_record import FROM_IMAGE_SERVICE
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.verification.content_digest import ContentHash
from precache.imagecache.verification.idle_io import idle_io
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

SEARCH_INTERVAL = timedelta(hours=1)
"""Between two searches through all records: for what another process has published, or could not be hashed before."""


class MissingDigests:
    """The entries of one cache. `add` is called by any thread, `hash_all` by one at a time."""

    def __init__(self, *, directory: Path, locks: EntryLocks, records: EntryRecords, clock: Clock) -> None:
        self._directory = directory
        self._locks = locks
        self._records = records
        self._clock = clock
        self._waiting: dict[str, None] = {}  # in order
        self._lock = threading.Lock()
        self._searched_at: datetime | None = None

    def add(self, entry: str) -> None:
        """Note that the entry was published, and that its record has no digest."""
        with self._lock:
            self._waiting[entry] = None

    def hash_all(self, check_stop: Callable[[], None]) -> None:
        """Hash the entries that have no digest, and complete their records.

        check_stop: called every few milliseconds; what it raises ends the work. Errors of one entry are logged, and it
        is tried again after the next search. Raises CacheUnusable if the directory cannot be read.
        """
        self._search()
        while (entry := self._first()) is not None:
            try:
                self._complete(entry, check_stop)
            except FileNotFoundError:
                _log.debug("%s is gone before it was hashed", entry)
            except (OSError, CacheUnusable) as error:
                reason = explain(error) if isinstance(error, OSError) else str(error)
                _log.error("%s could not be hashed, so it cannot be verified: %s", self._directory / entry, reason)
            with self._lock:
                self._waiting.pop(entry, None)

    def _search(self) -> None:
        """Add all entries without a digest, if the last search was long ago by the clock, which may jump."""
        now = self._clock.now()
        if self._searched_at is not None and timedelta() <= now - self._searched_at < SEARCH_INTERVAL:
            return
        try:
            entries = self._records.entries()
        except OSError as error:
            raise CacheUnusable(str(self._directory), explain(error)) from error
        with self._records.reader() as read:
            for entry in entries:
                record = read(entry)
                if record is not None and record.source == FROM_IMAGE_SERVICE and not record.digest:
                    self.add(entry)
        self._searched_at = now

    def _first(self) -> str | None:
        with self._lock:
            return next(iter(self._waiting), None)

    def _complete(self, entry: str, check_stop: Callable[[], None]) -> None:
        path = self._directory / entry
        with ContentHash(path, lambda _hashed, _read: check_stop()) as content:
            with idle_io():
                digest = content.digest()
            # The file is still open, so no other one has its inode.
            with self._locks.hold(entry, check_stop):
                record = self._records.read(entry)
                if record is None or record.digest or not content.is_at(path):
                    return
                # With another size it is not what was recorded: another program has fetched the image again.
                if record.size_bytes in (None, content.size_bytes):
                    self._records.write(replace(record, digest=digest))
