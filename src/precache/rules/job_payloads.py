"""The notifications `precache.job.*`, as they are sent: on the message bus, in the log, and to webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from precache.core.job_notices import JobNotice

PAYLOAD_VERSION = "1.1"
"""MAJOR.MINOR: a new field raises MINOR; a field that is removed or changes its meaning raises MAJOR."""


def job_payload(notice: JobNotice) -> dict[str, Any]:
    """Return the payload of a notice."""
    job = notice.job
    data = {
        "notice_id": notice.id,
        "at": _instant(notice.at),
        "job_id": job.id,
        "name": job.name,
        "operation": job.operation.value,
        "state": notice.event.state.value,
        "reason": notice.reason,
        "target": {"aggregates": list(job.target.aggregates), "cells": list(job.target.cells)},
        "images": list(job.images),
        "image_names": dict(job.image_names),
        "host_count": job.task_count // len(job.images) if job.images else 0,
        "task_count": job.task_count,
        "counts": {outcome.value: count for outcome, count in job.counts.items()},
        "priority": job.options.priority,
        "retry_count": job.retry_count,
        "requested_by": job.requested_by,
        "request_id": job.request_id,
        "created_at": _instant(job.created_at),
        "started_at": _instant(job.started_at),
        "finished_at": _instant(job.finished_at),
    }
    return {
        "precache_object.name": "JobPayload",
        "precache_object.namespace": "precache",
        "precache_object.version": PAYLOAD_VERSION,
        "precache_object.data": data,
    }


def webhook_body(notice: JobNotice, publisher_id: str) -> str:
    """Return what is sent to a webhook: one JSON object."""
    document = {"event_type": notice.event.type, "publisher_id": publisher_id, "payload": job_payload(notice)}
    return json.dumps(document, ensure_ascii=False)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
