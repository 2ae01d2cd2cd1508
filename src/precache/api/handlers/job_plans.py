"""Answers a request for a job with its plan, instead of storing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from threading import BoundedSemaphore
from typing import Any

from precache.api.handlers.views import rfc3339
from precache.core.cache_contents import ImageSize
from precache.core.errors import TooManyPlans
from precache.core.images import Image, ImageId
from precache.core.job_options import Transfer
from precache.core.jobs import NewJob
from precache.core.plans import Estimate, HostNotes, Plan, PlannedGroup, PlannedHost
from precache.ports.clock import Clock
from precache.ports.host_caches import CacheSurvey
from precache.ports.transfer_rates import TransferRates
from precache.rules.plan import make_plan

_SPACE = ("needed_bytes", "free_bytes", "promised_bytes", "reserve_bytes")

_TRANSFER = {False: Transfer.DIRECT, True: Transfer.SWARM}

PLANS_AT_ONCE = 3
"""Each occupies a thread of the API for up to half a minute; the others stay free for other requests."""


class JobPlans:
    """Makes plans: asks the hosts through `survey`, and measures earlier jobs through `rates`."""

    def __init__(self, *, survey: CacheSurvey, rates: TransferRates, clock: Clock) -> None:
        self._survey = survey
        self._rates = rates
        self._clock = clock
        self._places = BoundedSemaphore(PLANS_AT_ONCE)

    def document(self, job: NewJob, images: Sequence[Image]) -> dict[str, Any]:
        """Return the plan of the job, as the OpenAPI document describes it. images: of its orders.

        Raises TooManyPlans, and what the ports raise.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyPlans(PLANS_AT_ONCE)
        try:
            ordered = {order.image for order in job.orders}
            sizes = [ImageSize.of(image) for image in images if image.id in ordered]
            survey = self._survey.ask(job.hosts, sizes)
            plan = make_plan(job, sizes, survey, self._rates.recent_rates(), self._clock.now())
            return _plan_view(plan, job, sizes)
        finally:
            self._places.release()


def _plan_view(plan: Plan, job: NewJob, sizes: Iterable[ImageSize]) -> dict[str, Any]:
    host_count = sum(sum(group.hosts.values()) for group in plan.groups)
    held, missing = Counter[ImageId](), Counter[ImageId]()
    held_bytes: dict[ImageId, int] = {}
    for image in (image for group in plan.groups for image in group.images):
        held[image.image] += image.held_by.count
        missing[image.image] += image.missing
        if image.held_bytes is not None:
            held_bytes[image.image] = held_bytes.get(image.image, 0) + image.held_bytes
    return {
        "operation": job.operation.value,
        "host_count": host_count,
        "task_count": host_count * len(job.orders),
        "hosts": {kind.value: sum(group.hosts[kind] for group in plan.groups) for kind in PlannedHost},
        "bytes_to_move": sum(group.bytes_to_move for group in plan.groups),
        "image_service_bytes": sum(group.image_service_bytes for group in plan.groups),
        "held_bytes": sum(held_bytes.values()) if held_bytes else None,
        "images": [
            {
                "image": size.image,
                "name": job.image_names.get(size.image),
                "size_bytes": size.size_bytes,
                "virtual_size_bytes": size.virtual_size_bytes,
                "held": held[size.image],
                "held_bytes": held_bytes.get(size.image),
                "missing": missing[size.image],
            }
            for size in sizes
        ],
        "estimate": _estimate_view(plan.estimate),
        "groups": [_group_view(group) for group in plan.groups],
        "lacking_space": _notes_view(plan.lacking_space, *_SPACE),
        "down": _notes_view(plan.down),
        "unknown": _notes_view(plan.unknown, "reason"),
        "unsupported": _notes_view(plan.unsupported, "reason"),
    }


def _group_view(group: PlannedGroup) -> dict[str, Any]:
    rate = group.rate
    return {
        "cell": group.cell,
        "site": group.site or None,
        "host_count": sum(group.hosts.values()),
        "hosts": {kind.value: count for kind, count in group.hosts.items()},
        "lacking_space": group.lacking_space,
        "bytes_to_move": group.bytes_to_move,
        "image_service_bytes": group.image_service_bytes,
        "transfer": None if group.by_swarm is None else _TRANSFER[group.by_swarm].value,
        "transfer_reason": group.transfer_reason,
        "seconds": _seconds(group.seconds),
        "rate_bytes_per_s": None if rate is None else round(rate.bytes_per_s),
        "measured_tasks": 0 if rate is None else rate.tasks,
        "measured_jobs": 0 if rate is None else rate.jobs,
        "images": [
            {
                "image": image.image,
                "held": image.held_by.count,
                "held_by": list(image.held_by.hosts),
                "missing": image.missing,
            }
            for image in group.images
        ],
    }


def _notes_view(notes: HostNotes, *fields: str) -> dict[str, Any]:
    """Return the list of hosts. fields: the further fields of each host."""
    hosts: list[Mapping[str, Any]] = [
        {"host": note.host, "cell": note.cell, "site": note.site or None}
        | {field: getattr(note, field) for field in fields}
        for note in notes.hosts
    ]
    return {"hosts": hosts, "more": notes.more}


def _estimate_view(estimate: Estimate) -> dict[str, Any]:
    return {
        "seconds": _seconds(estimate.seconds),
        "reason": estimate.reason,
        "measured_tasks": estimate.tasks,
        "measured_jobs": estimate.jobs,
        "hosts_at_once": estimate.hosts_at_once,
        "begins_at": rfc3339(estimate.begins_at),
        "ends_at": rfc3339(estimate.ends_at),
        "meets_deadline": estimate.meets_deadline,
    }


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
