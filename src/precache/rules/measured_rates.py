"""The rates of downloads, from tasks that have ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from precache.core.jobs import Job
from precache.core.orders import ImageOrder
from precache.core.transfer_rates import MeasuredRate


@dataclass(frozen=True, slots=True)
class EndedDownload:
    """A task that ended as `cached`. job: any text that differs between jobs."""

    job: str
    cell: str
    bytes_done: int
    started_at: datetime
    finished_at: datetime


def is_measurable(job: Job, order: ImageOrder) -> bool:
    """Return whether downloads for this order show what the network can do: no limit of their rate slowed them down."""
    return order.options.rate_limit_bytes_per_s is None and job.options.job_rate_limit_bytes_per_s is None


def measure(downloads: Iterable[EndedDownload]) -> dict[str, MeasuredRate]:
    """Return the rate of each cell that has downloads with bytes and a duration."""
    by_cell: defaultdict[str, list[EndedDownload]] = defaultdict(list)
    for each in downloads:
        # The times come from hosts, and a clock that was set back would give a negative duration.
        if each.bytes_done > 0 and each.finished_at > each.started_at:
            by_cell[each.cell].append(each)
    return {
        cell: MeasuredRate(
            sum(each.bytes_done for each in found),
            sum((each.finished_at - each.started_at).total_seconds() for each in found),
            len(found),
            len({each.job for each in found}),
        )
        for cell, found in by_cell.items()
    }


def sampled_positions(host_count: int, most: int) -> list[int]:
    """Return up to `most` positions of hosts, evenly spread, because hosts of one cell are often neighbours."""
    step = max(1, -(-host_count // max(1, most)))
    return list(range(0, host_count, step))
