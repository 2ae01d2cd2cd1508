"""Gathers what many hosts say and passes it on in batches, so that a thousand hosts cost few transactions."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from precache.core.errors import PrecacheError

_log = logging.getLogger(__name__)

_LATE_S = 5.0

Word = TypeVar("Word")

MOST_WORDS = 100_000
"""That wait to be written, of one cell. As many hosts are not there: a cell whose bus is flooded must neither fill our
memory nor push out what other cells say."""


class Gathering(Generic[Word]):
    """Keeps the latest word on each subject, and writes all of them every `interval`. Thread-safe.

    subject: what a word is about; a later word on it replaces an earlier one that was not written yet.
    cell: where it was heard; each has its own bound.
    what: names the words in the log, in the plural. Words that cannot be written are dropped, for the next are newer.
    now: a clock in seconds that goes on while the process is halted.
    """

    def __init__(
        self,
        *,
        write: Callable[[Sequence[Word]], None],
        subject: Callable[[Word], Hashable],
        cell: Callable[[Word], str],
        interval: timedelta,
        what: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._write = write
        self._subject = subject
        self._cell = cell
        self._interval = interval
        self._what = what
        self._latest: dict[Hashable, Word] = {}
        self._now = now
        self._waiting: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._dropped_at: dict[str, float] = {}
        self._lossless_since = self._now()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._writer = threading.Thread(target=self._write_until_stopped, name=what, daemon=True)

    def lossless_for_s(self, cell: str) -> float:
        """Return for how many seconds, until now, whatever came in from the cell was written, and soon."""
        return self._now() - max(self._lossless_since, self._dropped_at.get(cell, self._lossless_since))

    def start(self) -> None:
        self._lossless_since = self._now()
        self._writer.start()

    def stop(self, patience: timedelta) -> None:
        self._stopping.set()
        self._writer.join(patience.total_seconds())

    def add(self, word: Word) -> None:
        subject, cell = self._subject(word), self._cell(word)
        with self._lock:
            if subject in self._latest:
                self._latest[subject] = word
            elif self._waiting[cell] < MOST_WORDS:
                self._latest[subject] = word
                self._waiting[cell] += 1
            else:
                self._dropped[cell] += 1

    def flush(self) -> None:
        """Write down what has come in."""
        with self._lock:
            batch, self._latest = list(self._latest.values()), {}
            dropped, self._dropped = self._dropped, Counter()
            self._waiting.clear()
        for cell, number in dropped.items():
            self._dropped_at[cell] = self._now()
            _log.warning(
                "%i %s from cell %s were dropped: more than %i came in before they could be noted",
                number, self._what, cell, MOST_WORDS,
            )  # fmt: skip
        if not batch:
            return
        try:
            self._write(batch)
        except PrecacheError as error:
            self._lossless_since = self._now()
            _log.warning("%i %s could not be noted: %s", len(batch), self._what, error)
        except Exception:  # noqa: BLE001  the process loop: a bug must not silence the hosts for ever
            self._lossless_since = self._now()
            _log.exception("%i %s could not be noted", len(batch), self._what)

    def _write_until_stopped(self) -> None:
        woke_at = self._now()
        while not self._stopping.wait(self._interval.total_seconds()):
            if self._now() - woke_at > self._interval.total_seconds() + _LATE_S:
                # The process was halted, or the store kept us waiting: what was said meanwhile may be lost.
                self._lossless_since = self._now()
            woke_at = self._now()
            self.flush()
        self.flush()
