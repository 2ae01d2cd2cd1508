"""The reasons to stop work before its end."""

from __future__ import annotations

from enum import StrEnum


class StopReason(StrEnum):
    """The reason of a stop, which says what becomes of the work.

    SHUTDOWN: the process ends; its next start, or another process, continues the work.
    LEASE_LOST: another conductor has the job; nothing may be stored for it here.
    CANCELLED: an operator has cancelled the job; it ends.
    PAUSED: an operator has paused the job; what is on the host stays there, and the job continues when it is resumed.
    WINDOW_CLOSED: the job continues when its window opens.
    DEADLINE_PASSED: the job ends with what is done.
    CANARY_FAILED: the job ends; no further host is called.
    ABANDONED: the part of the work that needs this one has ended or failed.
    """

    SHUTDOWN = "shutdown"
    LEASE_LOST = "lease_lost"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    WINDOW_CLOSED = "window_closed"
    DEADLINE_PASSED = "deadline_passed"
    CANARY_FAILED = "canary_failed"
    ABANDONED = "abandoned"
