"""For the API: how fast the downloads of recent jobs were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from precache.core.transfer_rates import MeasuredRate

MOST_JOBS = 20
"""The jobs that are looked at: the newest that have ended."""

MOST_TASKS = 1000
"""The tasks of one job that are looked at, so that a plan takes as long after a job with 100,000 tasks."""


class TransferRates(Protocol):
    def recent_rates(self) -> Mapping[str, MeasuredRate]:
        """Return the rate of one download in each cell, measured by tasks of recent jobs that ended as `cached`.

        Tasks with a limit of their rate do not count, nor those whose bytes came from other hosts: these are as fast as
        the host that fetched the image for them, and what they receive is the converted image. Raises StoreUnavailable.
        """
        ...
