"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as authentication found out. token: for asking the image service in their name."""

    user_id: str
    project_id: str
    roles: tuple[str, ...]
    token: str | None = None


class Policy(Protocol):
    def allows(self, caller: Caller, rule: str) -> bool:
        """Say whether the rule, by its name such as `compute:aggregates:images`, lets the caller through."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule as it is by default.

    check: who passes, in the language of oslo.policy, such as `role:admin`.
    operations: (method, path) of the requests that it guards; none for a rule that only others refer to.
    """

    name: str
    check: str
    description: str
    operations: tuple[tuple[str, str], ...] = ()
