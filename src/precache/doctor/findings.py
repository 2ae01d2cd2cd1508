"""The result of a check, with advice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from precache.core.errors import PrecacheError


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works, but not as it should, or will fail soon
    FAILED = "failed"  # does not work
    SKIPPED = "skipped"  # is not for this deployment, or could not be checked


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. advice: what to do; never empty for a warning or a failure."""

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
