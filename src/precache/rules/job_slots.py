"""Which jobs a conductor may claim while it runs others: few at once, but a low priority never delays a high one."""

from __future__ import annotations

from collections.abc import Collection

from precache.core.job_options import MOST_PRIORITY

MOST_TIMES_THE_SLOTS = 4
"""How many times as many jobs as it has slots a conductor runs at most. Each takes a thread and some megabytes."""


def least_priority(running: Collection[int], slots: int) -> int | None:
    """Return the lowest priority that a further job must have; None if no job may be claimed.

    running: the priorities of the running jobs. Any job may take a free slot. Beyond the slots a job must have a higher
    priority than some of those that have the slots, taken as those with the highest priorities.
    """
    if len(running) < slots:
        return 0
    if len(running) >= slots * MOST_TIMES_THE_SLOTS:
        return None
    least = sorted(running, reverse=True)[slots - 1] + 1
    return least if least <= MOST_PRIORITY else None
