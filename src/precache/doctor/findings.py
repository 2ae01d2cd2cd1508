"""What a check found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from precache.core.errors import PrecacheError


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, but not as it should, or not for long
    FAILED = "failed"  # does not work
    SKIPPED = "skipped"  # does not concern this deployment, or could not be looked at


@dataclass(frozen=True, slots=True)
class Finding:
    """advice: what to do; empty where there is nothing to do, that is, never for a warning or a failure."""

    status: Status
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.status in (Status.WARNING, Status.FAILED) and not self.advice.strip():
            raise ValueError(f"a finding that is {self.status} says what to do: {self.found}")


def ok(found: str) -> Finding:
    return Finding(Status.OK, found)


def warning(found: str, advice: str) -> Finding:
    return Finding(Status.WARNING, found, advice)


def failed(found: str, advice: str) -> Finding:
    return Finding(Status.FAILED, found, advice)


def failure(error: PrecacheError) -> Finding:
    """Return the finding of a check that ended with this error."""
    return failed(error.message, error.advice)


def skipped(found: str) -> Finding:
    return Finding(Status.SKIPPED, found)
