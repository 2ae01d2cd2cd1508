"""The notifications of a job in Nova's formats: start, one progress for each host, end."""

from __future__ import annotations

from collections.abc import Sequence

from precache.core.jobs import Job, TaskResult
from precache.core.operations import Operation
from precache.ports.notifier import Notification, Notifier
from precache.rules.nova_payloads import aggregate_payload, cache_progress_payload

START = "aggregate.cache_images.start"
PROGRESS = "aggregate.cache_images.progress"
END = "aggregate.cache_images.end"


class Announcer:
    """Sends the notifications of jobs. Thread-safe.

    Only a job that caches images for one aggregate has them: Nova's notifications name it, and are of no other
    operation.

    origin: name of this machine. The publisher ids are those that Nova's consumers know: nova-api for start and
        end, nova-conductor for progress.
    """

    def __init__(self, *, notifier: Notifier, origin: str) -> None:
        self._notifier = notifier
        self._origin = origin

    def started(self, job: Job, hosts: Sequence[str]) -> None:
        self._emit_aggregate(START, job, hosts)

    def ended(self, job: Job, hosts: Sequence[str]) -> None:
        self._emit_aggregate(END, job, hosts)

    def host_ended(self, job: Job, host: str, results: Sequence[TaskResult], index: int, total: int) -> None:
        if not _is_announced(job):
            return
        payload = cache_progress_payload(job, host, results, index=index, total=total)
        self._notifier.emit(Notification(PROGRESS, f"nova-conductor:{self._origin}", payload))

    def _emit_aggregate(self, event_type: str, job: Job, hosts: Sequence[str]) -> None:
        if not _is_announced(job):
            return
        self._notifier.emit(Notification(event_type, f"nova-api:{self._origin}", aggregate_payload(job, hosts)))


def _is_announced(job: Job) -> bool:
    return job.is_for_one_aggregate and job.operation is Operation.CACHE
