"""The payloads of Nova's aggregate notifications, as they are sent.

Source: Nova's public notification samples, AggregatePayload 1.1 and AggregateCachePayload 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from precache.core.images import ImageId
from precache.core.jobs import JobRequest, TaskResult


def aggregate_payload(job: JobRequest, hosts: Sequence[str]) -> dict[str, Any]:
    """Return the payload of `aggregate.cache_images.start` and `.end`."""
    data = {**_aggregate(job), "hosts": list(hosts), "metadata": dict(job.aggregate_metadata)}
    return _versioned("AggregatePayload", "1.1", data)


def cache_progress_payload(
    job: JobRequest, host: str, results: Iterable[TaskResult], *, index: int, total: int
) -> dict[str, Any]:
    """Return the payload of `aggregate.cache_images.progress` for one host that has ended.

    index: 1 to total, the number of hosts that have ended, including this one. total: hosts of the job.
    """
    cached: list[ImageId] = []
    failed: list[ImageId] = []
    for result in results:
        (cached if result.outcome.is_success else failed).append(result.image)
    progress = {"host": host, "images_cached": cached, "images_failed": failed, "index": index, "total": total}
    return _versioned("AggregateCachePayload", "1.0", _aggregate(job) | progress)


def _aggregate(job: JobRequest) -> dict[str, Any]:
    return {"id": job.aggregate_id, "uuid": job.aggregate_uuid, "name": job.aggregate_name}


def _versioned(name: str, version: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "nova_object.name": name,
        "nova_object.namespace": "nova",
        "nova_object.version": version,
        "nova_object.data": data,
    }
