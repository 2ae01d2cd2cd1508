"""Follows jobs for any number of readers: one thread reads the store, at an interval, for all jobs that have readers.

A job that has lost its last reader is remembered for some minutes without being read. A reader that comes back gets
the changes of the meantime, so that nothing is lost.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from precache.api import errors
from precache.api.events.event_log import EventLog
from precache.api.events.followed_job import Event, FollowedJob
from precache.api.events.stream import PART_BYTES, EventStream
from precache.api.handlers.views import JobViews
from precache.api.refusals import TooManyReaders
from precache.background.log_exceptions import log_exceptions
from precache.background.threads import start_thread
from precache.core.errors import JobNotFound, PrecacheError, Unavailable
from precache.ports.job_store import JobSnapshots


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """What readers may cost.

    readers: at once. threads: those of them that occupy a thread each. log_bytes: of events that are kept for one job:
    a reader that is farther behind is cut off. interval_s: between two reads of the store; more
    if they take long. keep_s: how long a job without readers is remembered. kept_jobs: how many of them. lifetime_s:
    after that a stream ends, and the reader connects again, with its rights checked again.
    """

    readers: int = 400
    threads: int = 8
    log_bytes: int = 2 * 1024 * 1024
    interval_s: float = 0.5
    keep_s: float = 300.0
    kept_jobs: int = 20
    lifetime_s: float = 900.0


_LONGEST_SHARE = 5
"""The store is read for at most a fifth of the time."""


class JobFeed:
    """Opens streams. Thread-safe; it has a thread only while jobs are followed or remembered.

    is_ticking: whether that thread reads the store; a test may call `look` instead. monotonic: in seconds.
    """

    def __init__(
        self,
        *,
        store: JobSnapshots,
        views: JobViews,
        limits: FeedLimits | None = None,
        is_ticking: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._views, self._limits = store, views, limits or FeedLimits()
        self._is_ticking, self._monotonic = is_ticking, monotonic
        self._looking = threading.Lock()  # held while the store is read; always taken before the other one
        self._lock = threading.Lock()
        self._jobs: dict[str, FollowedJob] = {}
        self._streams: dict[EventStream, FollowedJob] = {}
        self._in_threads: set[EventStream] = set()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def open(self, job_id: str, *, last_event_id: str | None = None, in_thread: bool = False) -> EventStream | None:
        """Return the events of the job: a snapshot and what follows, or what follows the last event of the reader.

        in_thread: sending the stream occupies a thread. Return None if the job has ended and the reader knows it.
        Raises JobNotFound, TooManyReaders, StoreUnavailable. The caller must close the stream.
        """
        self._check_room(in_thread)
        with self._looking:
            self._read_if_old(job_id)
            with self._lock:
                return self._open(job_id, last_event_id, in_thread)

    @property
    def reader_count(self) -> int:
        return len(self._streams)

    def take(self, stream: EventStream) -> bytes:
        with self._lock:
            if (followed := self._streams.get(stream)) is None:
                stream.is_finished = True
                return b""
            part = followed.take(stream, PART_BYTES)
            if not part and (self._stopping.is_set() or self._monotonic() >= stream.expires_at):
                stream.is_finished = True
            return part

    def close(self, stream: EventStream) -> None:
        with self._lock:
            self._in_threads.discard(stream)
            if followed := self._streams.pop(stream, None):
                followed.streams.discard(stream)
                followed.left_at = self._monotonic()

    def look(self) -> None:
        """Read all jobs that have readers, and tell the readers what changed."""
        with self._looking:
            with self._lock:
                wanted = {job_id: job for job_id, job in self._jobs.items() if job.streams}
            if not wanted:
                return
            try:
                found = self._store.snapshots(list(wanted))
                events = {job_id: wanted[job_id].changes(snapshot) for job_id, snapshot in found.items()}
            except Unavailable as error:
                self._publish_unavailable(wanted, error)
            else:
                self._publish(wanted, events)

    def stop(self) -> None:
        """End all streams, after the events that they have."""
        self._stopping.set()
        with self._lock:
            streams, thread = list(self._streams), self._thread
        _wake(streams)
        if thread is not None:
            thread.join(1.0)

    def _check_room(self, in_thread: bool) -> None:
        with self._lock:
            if in_thread and len(self._in_threads) >= self._limits.threads:
                raise TooManyReaders(self._limits.threads)
            if len(self._streams) >= self._limits.readers:
                raise TooManyReaders(self._limits.readers)

    def _read_if_old(self, job_id: str) -> None:
        """Read the job now unless that was just done, so that the reader's first events are true."""
        followed, now = self._jobs.get(job_id), self._monotonic()
        # An ended job may have been retried: its readers come to know that.
        if followed and not followed.is_over and now - followed.looked_at <= 2 * self._limits.interval_s:
            return
        snapshot = self._store.snapshots([job_id]).get(job_id)
        if followed is None and snapshot is not None:
            log = EventLog(secrets.token_hex(4), self._limits.log_bytes)
            created = FollowedJob(log, store=self._store, views=self._views, snapshot=snapshot, now=now)
            with self._lock:
                self._jobs[job_id] = created
        elif followed is not None:
            events = {} if snapshot is None else {job_id: followed.changes(snapshot)}
            self._publish({job_id: followed}, events)
        if snapshot is None:
            raise JobNotFound(job_id)

    def _open(self, job_id: str, last_event_id: str | None, in_thread: bool) -> EventStream | None:
        followed, now = self._jobs[job_id], self._monotonic()
        followed.left_at = now
        begin = followed.begin(last_event_id)
        if begin is None:
            return None
        stream = EventStream(self, begin=begin[0], position=begin[1], expires_at=now + self._limits.lifetime_s)
        self._streams[stream] = followed
        followed.streams.add(stream)
        if in_thread:
            self._in_threads.add(stream)
        if self._thread is None and self._is_ticking and not self._stopping.is_set():
            self._thread = start_thread(self._run, name="job-feed")
        return stream

    def _publish(self, wanted: Mapping[str, FollowedJob], events: Mapping[str, list[Event]]) -> None:
        """Add the events to the jobs' logs; a job without an entry does not exist any more."""
        with self._lock:
            for job_id, job in wanted.items():
                if job_id in events:
                    job.publish(events[job_id])
                    job.looked_at = self._monotonic()
                else:
                    job.publish_deleted(*_code_and_message(JobNotFound(job_id)))
                    del self._jobs[job_id]
            streams = [stream for job in wanted.values() for stream in job.streams]
        _wake(streams)

    def _publish_unavailable(self, wanted: Mapping[str, FollowedJob], error: Unavailable) -> None:
        with self._lock:
            for job in wanted.values():
                job.publish_unavailable(*_code_and_message(error))
            streams = [stream for job in wanted.values() for stream in job.streams]
        _wake(streams)

    def _run(self) -> None:
        pause = self._limits.interval_s
        while True:
            self._stopping.wait(pause)
            # Not between the read of a job for a new reader and the beginning of its stream.
            with self._looking, self._lock:
                self._forget()
                if self._stopping.is_set() or not self._jobs:
                    self._thread = None
                    return
            began = self._monotonic()
            with log_exceptions(what="Reading the jobs that are followed", then="will be tried again"):
                self.look()
            pause = max(self._limits.interval_s, (_LONGEST_SHARE - 1) * (self._monotonic() - began))

    def _forget(self) -> None:
        """Forget jobs that have had no reader for long, or are too many."""
        now = self._monotonic()
        left = sorted((job.left_at, job_id) for job_id, job in self._jobs.items() if not job.streams)
        for place, (left_at, job_id) in enumerate(left):
            if now - left_at >= self._limits.keep_s or place < len(left) - self._limits.kept_jobs:
                del self._jobs[job_id]


def _wake(streams: list[EventStream]) -> None:
    # Most streams have the same function: that of the thread that writes to all sockets.
    for wake in {stream.wake for stream in streams}:
        wake()


def _code_and_message(error: PrecacheError) -> tuple[str, str]:
    fault = errors.fault_of(error)
    return fault.code if fault else errors.INTERNAL_CODE, str(error)
