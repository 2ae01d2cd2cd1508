"""How fast downloads of earlier jobs were."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """The downloads of one cell. total_bytes, seconds: the sums of all; tasks, jobs: how many there were."""

    total_bytes: int
    seconds: float
    tasks: int
    jobs: int

    @property
    def bytes_per_s(self) -> float:
        """Return the average rate of one download, weighted by its time."""
        return self.total_bytes / self.seconds
