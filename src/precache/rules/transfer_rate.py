"""The rate of a running task, measured from the reports of its host."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

from precache.core.jobs import Task

SMOOTHING = timedelta(seconds=5)
"""The period over which the rate is averaged: long enough to be steady, short enough to show a stall."""

RECENT = timedelta(seconds=5)
"""How long a report counts as recent. A host reports every half second, so that ten reports are missing after that."""


def measured_rate(task: Task, bytes_done: int, now: datetime) -> int | None:
    """Return the rate of the task, in bytes per second, after the report that it has received so many bytes.

    The average is weighted: a report counts the less, the longer ago it came. None until the first bytes arrive: before
    that the host waits for the image service, or reads again what it has kept of a paused download.
    """
    if task.reported_at is None:
        return None
    elapsed_s = (now - task.reported_at).total_seconds()
    if elapsed_s <= 0:  # also after a change of the clock
        return task.rate_bytes_per_s
    rate = max(0, bytes_done - task.bytes_done) / elapsed_s
    if task.rate_bytes_per_s is None:
        return round(rate) or None
    weight = 1 - math.exp(-elapsed_s / SMOOTHING.total_seconds())
    return round(task.rate_bytes_per_s + weight * (rate - task.rate_bytes_per_s))


def with_current_rate(task: Task, now: datetime) -> Task:
    """Return the task without a rate, which is then unknown, unless its host has reported recently."""
    if task.rate_bytes_per_s is None or (task.reported_at is not None and now - task.reported_at <= RECENT):
        return task
    return replace(task, rate_bytes_per_s=None)
