"""The notices of jobs in memory, their deliveries, and the duties of processes; for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from precache.core.job_notices import Delivery, JobEvent, JobNotice, NewDelivery, notice_id
from precache.core.jobs import Job, JobState


@dataclass(frozen=True, slots=True)
class _Notice:
    number: int
    job_id: str
    event: JobEvent
    at: datetime
    reason: str
    old_state: JobState | None
    old_reason: str
    has_deliveries: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    job_id: str
    since: datetime
    due_at: datetime
    delivery: Delivery


class MemoryNotices:
    """The port `NoticeOutbox`. find_job: returns a job by its id, None if it was removed."""

    def __init__(self, *, now: Callable[[], datetime], find_job: Callable[[str], Job | None]) -> None:
        self._now, self._find_job = now, find_job
        self._lock = threading.Lock()
        self._notices: dict[int, _Notice] = {}
        self._added = 0
        self.deliveries = MemoryDeliveries(now=now)

    def add(self, old: Job | None, new: Job) -> None:
        """Store a notice; for the store of jobs, which calls it at each change of a state. old: None for a new job."""
        old_state, old_reason = (old.state, old.reason) if old else (None, "")
        event = JobEvent.of(old_state, new.state)
        with self._lock:
            self._added += 1
            self._notices[self._added] = _Notice(
                self._added, new.id, event, self._now(), new.reason, old_state, old_reason
            )

    def oldest(self, limit: int) -> list[JobNotice]:
        return self._load(limit, lambda _notice: True)

    def without_deliveries(self, limit: int) -> list[JobNotice]:
        return self._load(limit, lambda notice: not notice.has_deliveries)

    def _load(self, limit: int, is_wanted: Callable[[_Notice], bool]) -> list[JobNotice]:
        with self._lock:
            wanted = [notice for notice in self._notices.values() if is_wanted(notice)][:limit]
        found = [(notice, self._find_job(notice.job_id)) for notice in wanted]
        self.remove([notice.number for notice, job in found if job is None])
        now = self._now()
        return [
            JobNotice(
                each.number,
                job,
                each.event,
                each.at,
                each.reason,
                has_deliveries=each.has_deliveries,
                old_state=each.old_state,
                old_reason=each.old_reason,
                age=now - each.at,
            )
            for each, job in found
            if job
        ]

    def add_deliveries(self, notices: Collection[int], new: Sequence[NewDelivery]) -> None:
        with self._lock:
            for number in notices:
                notice = self._notices.get(number)
                if notice is not None and not notice.has_deliveries:
                    self._notices[number] = replace(notice, has_deliveries=True)
                    own = (delivery for delivery in new if delivery.notice == number)
                    self.deliveries.add(notice_id(notice.job_id, number), notice.job_id, notice.event, own)

    def remove(self, notices: Collection[int]) -> None:
        with self._lock:
            for number in notices:
                self._notices.pop(number, None)

    def keep_newest(self, count: int) -> int:
        with self._lock:
            old = [number for number in self._notices if number <= self._added - count]
            for number in old:
                del self._notices[number]
            return len(old)


class MemoryDeliveries:
    """The port `DeliveryQueue`."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._added = 0

    def add(self, notice: str, job_id: str, event: JobEvent, new: Iterable[NewDelivery]) -> None:
        with self._lock:
            for each in new:
                self._added += 1
                now = self._now()
                stored = Delivery(self._added, notice, event, each.url, each.body, 0, timedelta())
                self._waiting[self._added] = _Waiting(job_id, now, now, stored)

    def due(self, limit: int, *, skip: Collection[str] = ()) -> list[Delivery]:
        with self._lock:
            now = self._now()
            first: dict[tuple[str, str], _Waiting] = {}
            for each in self._waiting.values():
                first.setdefault((each.job_id, each.delivery.url), each)
            due = [each for each in first.values() if each.due_at <= now and each.delivery.url not in skip]
            return [replace(each.delivery, age=now - each.since) for each in due[:limit]]

    def put_back(self, numbers: Collection[int], after: timedelta) -> None:
        with self._lock:
            for number in numbers:
                if (each := self._waiting.get(number)) is not None:
                    again = replace(each.delivery, attempts=each.delivery.attempts + 1)
                    self._waiting[number] = replace(each, due_at=self._now() + after, delivery=again)

    def remove(self, numbers: Collection[int]) -> None:
        with self._lock:
            for number in numbers:
                self._waiting.pop(number, None)

    def keep_newest(self, count: int) -> int:
        with self._lock:
            old = [number for number in self._waiting if number <= self._added - count]
            for number in old:
                del self._waiting[number]
            return len(old)


class MemoryDuties:
    """The port `Duties`."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, datetime]] = {}

    def hold(self, duty: str, owner: str, lease: timedelta) -> bool:
        with self._lock:
            now = self._now()
            holder, until = self._held.get(duty, ("", now))
            if until > now and holder != owner:
                return False
            self._held[duty] = owner, now + lease
            return True
