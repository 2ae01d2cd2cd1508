"""The reasons to stop work before its end."""

from __future__ import annotations

from enum import StrEnum


class StopReason(StrEnum):
    """The reason of a stop, which says what becomes of the work.

    SHUTDOWN: the process ends; its next start, or another process, continues the work.
    LEASE_LOST: another conductor has the job; nothing may be stored for it here.
    CANCELLED: an operator has cancelled the job; it ends.
    ABANDONED: the part of the work that needs this one has ended or failed.
    """

    SHUTDOWN = "shutdown"
    LEASE_LOST = "lease_lost"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
