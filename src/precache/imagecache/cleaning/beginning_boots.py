"""Waits for boots of nova-compute that have begun, before an entry is taken away from them.

nova-compute touches an entry when a boot finds it, and makes the disk a moment later. In between it does not hold the
entry's lock, and no disk shows that the entry is in use.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from precache.imagecache.entry_lock import POLL_INTERVAL
from precache.imagecache.last_use import last_use
from precache.imagecache.records.entry_record import EntryRecord
from precache.ports.clock import Clock

BOOT_TIME = timedelta(seconds=10)
"""Longer than nova-compute takes from the touch to the disk: it reads the entry's header in between."""

_LONGEST_WAIT = timedelta(minutes=1)
"""For an entry that is touched again and again, most likely by boots whose disks are seen."""

_COARSEST_TIMES, _ROUNDING = timedelta(seconds=2), timedelta(milliseconds=1)
"""By how much the mtime that a file gets when it is published can be before that moment, or after it."""


def is_new(touched_at: datetime, cached_at: datetime | None) -> bool:
    """Return whether the entry was not touched since it was published. cached_at: None if that is not known."""
    return cached_at is not None and -_ROUNDING <= cached_at - touched_at <= _COARSEST_TIMES


def wait_for_boots(path: Path, record: EntryRecord | None, clock: Clock, wait: Callable[[], None]) -> None:
    """Wait until the entry was not touched for a moment, except when it was published.

    wait: called some ten times a second; what it raises ends the wait. Raises OSError.
    """
    until = clock.now() + _LONGEST_WAIT
    while (now := clock.now()) < until:
        try:
            touched_at = last_use(path.lstat())
        except FileNotFoundError:
            return
        cached_at = None if record is None else record.cached_at
        if is_new(touched_at, cached_at) or not timedelta() <= now - touched_at < BOOT_TIME:
            return
        wait()
        clock.sleep(POLL_INTERVAL)
