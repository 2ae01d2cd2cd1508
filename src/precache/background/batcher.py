"""Batches: reports of many hosts are written together, so that a thousand hosts cost few transactions."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from precache.background.log_exceptions import log_exceptions
from precache.background.threads import start_thread

_LATE_S = 5.0

Item = TypeVar("Item")

MOST_ITEMS = 100_000
"""The most waiting items of one source. No cell has that many hosts. A cell whose bus is flooded can neither fill the
memory nor displace the reports of other cells."""

_log = logging.getLogger(__name__)


class Batcher(Generic[Item]):
    """Keeps the latest item for each key, and writes all of them every `interval`.

    key: identifies an item; a later item with the same key replaces one that is not written yet.
    source: the origin of an item; each source has its own bound, `most`. size: of an item, in the unit of `most`.
    what: the name of the items in the log, in the plural. Items that cannot be written are dropped: newer ones follow.
    now: a clock in seconds that continues while the process is halted.
    """

    def __init__(
        self,
        *,
        write: Callable[[Sequence[Item]], None],
        key: Callable[[Item], Hashable],
        source: Callable[[Item], str] = lambda _item: "",
        interval: timedelta,
        what: str,
        now: Callable[[], float] = time.time,
        size: Callable[[Item], int] = lambda _item: 1,
        most: int = MOST_ITEMS,
    ) -> None:
        self._size = size
        self._most = most
        self._write = write
        self._key = key
        self._source = source
        self._interval_s = interval.total_seconds()
        self._what = what
        self._latest: dict[Hashable, Item] = {}
        self._now = now
        self._waiting: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._dropped_at: dict[str, float] = {}
        self._lossless_since = self._now()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._writer: threading.Thread | None = None

    def lossless_for_s(self, source: str) -> float:
        """Return for how many seconds, until now, all items of the source were written without loss or delay."""
        return self._now() - max(self._lossless_since, self._dropped_at.get(source, self._lossless_since))

    def start(self) -> None:
        self._lossless_since = self._now()
        self._writer = start_thread(self._write_until_stopped, name=self._what)

    def stop(self, patience: timedelta) -> None:
        """Write the remaining items, and wait at most that long. Harmless if it was never started."""
        self._stopping.set()
        if self._writer is not None:
            self._writer.join(patience.total_seconds())

    def add(self, item: Item) -> None:
        key, source = self._key(item), self._source(item)
        with self._lock:
            replaced = self._latest.get(key)
            growth = self._size(item) - (0 if replaced is None else self._size(replaced))
            if self._waiting[source] + growth <= self._most:
                self._latest[key] = item
                self._waiting[source] += growth
            else:
                self._dropped[source] += 1

    def flush(self) -> None:
        """Write the items that have arrived."""
        with self._lock:
            batch, self._latest = list(self._latest.values()), {}
            dropped, self._dropped = self._dropped, Counter()
            self._waiting.clear()
        for source, number in dropped.items():
            self._dropped_at[source] = self._now()
            _log.warning(
                "%i %s from cell %s were dropped: more came in than may wait until they are written",
                number, self._what, source,
            )  # fmt: skip
        if not batch:
            return
        is_written = False
        with log_exceptions(what="Writing", of=self._what, then=f"dropped {len(batch)} of them"):
            self._write(batch)
            is_written = True
        if not is_written:
            self._lossless_since = self._now()

    def _write_until_stopped(self) -> None:
        woke_at = self._now()
        while not self._stopping.wait(self._interval_s):
            if self._now() - woke_at > self._interval_s + _LATE_S:
                # The process was halted, or writing took long: reports of that time may be lost.
                self._lossless_since = self._now()
            woke_at = self._now()
            self.flush()
        self.flush()
