"""The batches in which the progress of hosts is sent and stored, and their intervals.

A driver reports some ten times a second. On a bus two batchers follow: the host's, so that transfers do not wait for
the broker and few messages are sent; and the conductor's, which stores the reports of many hosts in few transactions.
Together with the time between two reports they take less than a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from precache.background.batcher import Batcher
from precache.core.jobs import TaskProgress

SEND_INTERVAL = timedelta(seconds=0.5)
"""Between two messages of a host with the progress of its tasks."""

STORE_INTERVAL = timedelta(seconds=0.25)
"""Between two transactions of a conductor with the progress of all hosts."""


def progress_batcher(write: Callable[[Sequence[TaskProgress]], None], *, interval: timedelta) -> Batcher[TaskProgress]:
    """Return the port `ProgressSink`: it keeps the latest report on each task, and writes all of them together."""
    return Batcher(
        write=write,
        key=lambda progress: (progress.job_id, progress.host, progress.image, progress.cell),
        source=lambda progress: progress.cell,
        interval=interval,
        what="reports on the progress of tasks",
    )
