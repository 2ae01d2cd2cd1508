"""Gathers the hosts' progress and writes it down in batches, so that a thousand hosts cost few transactions."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from precache.core.errors import PrecacheError
from precache.core.images import ImageId
from precache.core.jobs import TaskProgress
from precache.ports.job_store import ProgressLog

_log = logging.getLogger(__name__)


class GatherProgress:
    """The port `ProgressSink`: keeps the latest word on each task, and notes all of them every `interval`."""

    def __init__(self, *, store: ProgressLog, interval: timedelta) -> None:
        self._store = store
        self._interval = interval
        self._latest: dict[tuple[str, str, ImageId], TaskProgress] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._writer = threading.Thread(target=self._write_until_stopped, name="progress", daemon=True)

    def start(self) -> None:
        self._writer.start()

    def stop(self, patience: timedelta) -> None:
        self._stopping.set()
        self._writer.join(patience.total_seconds())

    def report(self, progress: TaskProgress) -> None:
        with self._lock:
            self._latest[progress.job_id, progress.host, progress.image] = progress

    def flush(self) -> None:
        """Write down what has come in; on a failure it is dropped, for the next word is newer anyway."""
        with self._lock:
            batch, self._latest = list(self._latest.values()), {}
        if not batch:
            return
        try:
            self._store.note(batch)
        except PrecacheError as error:
            _log.warning("The progress of %i tasks could not be noted: %s", len(batch), error)

    def _write_until_stopped(self) -> None:
        while not self._stopping.wait(self._interval.total_seconds()):
            self.flush()
        self.flush()
