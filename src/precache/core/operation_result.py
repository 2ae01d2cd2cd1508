"""What a virt driver answers for one image of an operation."""

from __future__ import annotations

from dataclasses import dataclass

from precache.core.jobs import Outcome


@dataclass(frozen=True, slots=True)
class OperationResult:
    """reason: for the operator; empty if the outcome is sufficient."""

    outcome: Outcome
    reason: str = ""
