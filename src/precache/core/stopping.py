"""Why work is stopped before its end."""

from __future__ import annotations

from enum import StrEnum


class StopReason(StrEnum):
    """What the stopped work means to its owner.

    SHUTDOWN: the process ends; the work goes on at its next start, or in another process.
    LEASE_LOST: another conductor has the job; nothing may be stored for it here.
    CANCELLED: an operator has cancelled the job; it ends.
    PAUSED: an operator has paused the job; it goes on when it is resumed.
    ABANDONED: the part of the work that needs the rest has ended or failed.
    """

    SHUTDOWN = "shutdown"
    LEASE_LOST = "lease_lost"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    ABANDONED = "abandoned"
