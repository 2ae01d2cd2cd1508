"""Returns the outside how a job goes: start, one progress for each host, end, in Nova's formats."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from precache.core.errors import AggregateNotFound, InventoryUnavailable
from precache.core.jobs import Job, TaskResult
from precache.ports.inventory import AggregateQueries
from precache.ports.notifier import Notification, Notifier
from precache.rules.nova_payloads import aggregate_payload, cache_progress_payload

_log = logging.getLogger(__name__)

START = "aggregate.cache_images.start"
PROGRESS = "aggregate.cache_images.progress"
END = "aggregate.cache_images.end"


class Announcer:
    """Sends the notifications of jobs. Thread-safe.

    A job for one host has none: Nova's notifications name an aggregate.

    origin: name of the machine we run on. The publisher ids are those that Nova's consumers know, although
    it is we who send: nova-api for start and end, nova-conductor for progress.
    """

    def __init__(self, *, notifier: Notifier, aggregates: AggregateQueries, origin: str) -> None:
        self._notifier = notifier
        self._aggregates = aggregates
        self._origin = origin

    def started(self, job: Job, hosts: Sequence[str]) -> None:
        if job.for_host is None:
            self._emit_aggregate(START, job, hosts, self._metadata(job))

    def ended(self, job: Job, hosts: Sequence[str]) -> None:
        if job.for_host is not None:
            return
        try:
            metadata = self._metadata(job)
        except InventoryUnavailable as error:
            # All outcomes are known: the job need not stay open for what others may want to know of its aggregate.
            _log.warning("The end of job %s is announced without the aggregate's metadata: %s", job.id, error)
            metadata = {}
        self._emit_aggregate(END, job, hosts, metadata)

    def host_ended(self, job: Job, host: str, results: Sequence[TaskResult], index: int, total: int) -> None:
        if job.for_host is not None:
            return
        payload = cache_progress_payload(
            aggregate_id=job.aggregate_id,
            uuid=job.aggregate_uuid,
            name=job.aggregate_name,
            host=host,
            results=results,
            index=index,
            total=total,
        )
        self._notifier.emit(Notification(PROGRESS, f"nova-conductor:{self._origin}", payload))

    def _emit_aggregate(self, event_type: str, job: Job, hosts: Sequence[str], metadata: Mapping[str, str]) -> None:
        payload = aggregate_payload(
            aggregate_id=job.aggregate_id,
            uuid=job.aggregate_uuid,
            name=job.aggregate_name,
            hosts=hosts,
            metadata=metadata,
        )
        self._notifier.emit(Notification(event_type, f"nova-api:{self._origin}", payload))

    def _metadata(self, job: Job) -> Mapping[str, str]:
        try:
            return self._aggregates.get_aggregate(job.aggregate_id).metadata
        except AggregateNotFound:
            return {}  # Deleted since the request: the job goes on with the hosts that it was accepted for.
