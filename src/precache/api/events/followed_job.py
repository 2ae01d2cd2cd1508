"""One job that is followed: what its readers know of it, and the events that tell them more."""

from __future__ import annotations

from typing import Any

from precache.api.events.event_log import EventLog
from precache.api.events.frames import RECONNECT, frame
from precache.api.events.stream import EventStream
from precache.api.handlers.views import JobViews
from precache.core.jobs import Job, Outcome
from precache.ports.job_store import JobSnapshot, JobSnapshots
from precache.rules.job_changes import SeenTasks, TaskChange

MOST_CHANGES = 2000
"""If more tasks than this changed unseen between two looks, they are not read: readers are sent a new snapshot."""

Event = tuple[str, dict[str, Any]]
"""The name and the data of an event."""


class FollowedJob:
    """The feed calls `changes` in one thread at a time, and the rest under its lock.

    looked_at: when the store was read last; left_at: when the last reader left; in seconds of the feed's clock.
    is_over: the job has ended or does not exist any more; nothing follows the last event.
    """

    def __init__(
        self, log: EventLog, *, store: JobSnapshots, views: JobViews, snapshot: JobSnapshot, now: float
    ) -> None:
        self._store, self._views = store, views
        self._log = log
        self._unsent: list[TaskChange] = []
        self._is_store_available = True
        self._end_number = 0
        self._begin: tuple[int, bytes] = (-1, b"")
        self.streams: set[EventStream] = set()
        self.looked_at = self.left_at = now
        self.is_over = False
        self._job, self._seen = snapshot.job, self._first_look(snapshot)
        self._running = self._seen.running
        self.publish([self._end()] if self._job.state.is_final else [])

    def changes(self, snapshot: JobSnapshot) -> list[Event]:
        """Return the events since the last call. Reads tasks; what it raises loses no event."""
        before, job = self._job, snapshot.job
        if not self._note_tasks(before, snapshot):
            self._seen, self._job = self._first_look(snapshot), job
            self._running = self._seen.running
            self._unsent.clear()
            events = [self._snapshot(is_lost=True)]
        else:
            events = [("task", data) for change in self._unsent if (data := self._task_event(change))]
            self._unsent.clear()
            self._job, self._running = job, self._seen.running
            if changed := self._job_event(before, job):
                events.append(("job", changed))
        if job.state.is_final and not (before.state.is_final and before.retry_count == job.retry_count):
            events.append(self._end())
        return events

    def publish(self, events: list[Event]) -> None:
        """Add the events of `changes` to the log."""
        if not self._is_store_available:
            self._is_store_available = True
            events = [("store", {"is_available": True, "code": None, "message": ""}), *events]
        if events:
            self._append(*events)
        if events and events[-1][0] == "end":
            self._end_number = self._log.last
        self.is_over = self._job.state.is_final

    def publish_unavailable(self, code: str, message: str) -> None:
        """Tell readers, once, that the store cannot be read now."""
        if self._is_store_available:
            self._is_store_available = False
            self._append(("store", {"is_available": False, "code": code, "message": message}))

    def publish_deleted(self, code: str, message: str) -> None:
        self._append(("deleted", {"code": code, "message": message}))
        self._end_number = self._log.last
        self.is_over = True

    def begin(self, last_event_id: str | None) -> tuple[bytes, int] | None:
        """Return what a reader is sent first, and its position; None if it has the end of a job that has ended."""
        if last_event_id is None:
            return self._first_snapshot(is_lost=False)
        position = self._log.number_of(last_event_id)
        if position is None:
            return self._first_snapshot(is_lost=True)
        if self.is_over and position >= self._end_number:
            return None
        return RECONNECT, position

    def take(self, stream: EventStream, most_bytes: int) -> bytes:
        """Return the next bytes for this reader; mark the stream if it has all of the job."""
        if stream.begin and not stream.is_cut:
            part, stream.begin = stream.begin, b""
            return part
        if stream.is_cut:
            return b""
        part, stream.position = self._log.after(stream.position, most_bytes)
        if self.is_over and stream.position == self._log.last:
            stream.is_finished = True
        return part

    def _append(self, *events: Event) -> None:
        self._log.append(*events)
        for stream in self.streams:
            stream.is_cut = stream.is_cut or stream.position < self._log.dropped

    def _first_look(self, snapshot: JobSnapshot) -> SeenTasks:
        outcomes = [outcome for outcome, count in snapshot.job.counts.items() if count]
        ended = self._store.ended_places(snapshot.job.id, outcomes) if outcomes else {}
        return SeenTasks(snapshot.running, ended)

    def _note_tasks(self, before: Job, snapshot: JobSnapshot) -> bool:
        """Read the tasks that may have changed; return False if they are too many."""
        seen, job, is_retried = self._seen, snapshot.job, before.retry_count != snapshot.job.retry_count
        stopped = seen.stopped(snapshot.running)
        if len(stopped) > MOST_CHANGES:
            return False
        read = self._store.tasks_at(job.id, stopped) if stopped else {}
        self._unsent += seen.update({**snapshot.running, **read})
        outcomes = list(Outcome) if is_retried else seen.miscounted(job.counts)
        if not outcomes:
            return True
        differing = seen.differing(self._store.ended_places(job.id, outcomes))
        if len(differing) > MOST_CHANGES:
            return False
        self._unsent += seen.update(self._store.tasks_at(job.id, differing))
        return True

    def _first_snapshot(self, *, is_lost: bool) -> tuple[bytes, int]:
        # The end of a job is an event of its own, after the snapshot.
        position = self._end_number - 1 if self.is_over else self._log.last
        if is_lost:
            return RECONNECT + self._snapshot_frame(position, is_lost=True), position
        if self._begin[0] != self._log.last:
            self._begin = self._log.last, RECONNECT + self._snapshot_frame(position, is_lost=False)
        return self._begin[1], position

    def _snapshot_frame(self, position: int, *, is_lost: bool) -> bytes:
        return frame(*self._snapshot(is_lost=is_lost), self._log.id_of(position))

    def _snapshot(self, *, is_lost: bool) -> Event:
        tasks = [self._views.task(task) for task in self._running]
        return "snapshot", {"job": self._views.job(self._job), "tasks": tasks, "is_lost": is_lost}

    def _job_event(self, before: Job, after: Job) -> dict[str, Any]:
        """Return what clients see changed; of the images only those of which something changed."""
        old, new = self._views.job(before), self._views.job(after)
        changed = _changed(old, new)
        if "by_image" in changed:
            changed["by_image"] = [image for image in new["by_image"] if image not in old["by_image"]]
        return changed

    def _task_event(self, change: TaskChange) -> dict[str, Any]:
        """Return what clients see changed; empty if it is nothing."""
        after = self._views.task(change.after)
        if change.before is None:
            return after
        changed = _changed(self._views.task(change.before), after)
        return {"host": after["host"], "image": after["image"]} | changed if changed else {}

    def _end(self) -> Event:
        view = self._views.job(self._job)
        return "end", {field: view[field] for field in ("state", "counts", "finished_at")}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have another value than before."""
    return {field: value for field, value in after.items() if field not in before or before[field] != value}
