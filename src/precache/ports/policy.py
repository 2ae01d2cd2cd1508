"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated sender of a request.

    token: for requests to the image service on behalf of the caller.
    Roles are on the project, or on the whole cloud if `system_scope` is `all`, or on the domain `domain_id`.
    """

    user_id: str
    project_id: str
    roles: tuple[str, ...]
    token: str | None = field(default=None, repr=False)
    user_domain_id: str = ""
    project_domain_id: str = ""
    domain_id: str = ""
    system_scope: str = ""

    @property
    def has_scope(self) -> bool:
        """Return whether the roles count here: roles on a domain are only for its users and projects."""
        return bool(self.project_id) or self.system_scope == "all"


class Policy(Protocol):
    def allows(self, caller: Caller, rule: str) -> bool:
        """Return whether the rule, such as `compute:aggregates:images`, allows the caller."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One default rule.

    check: the condition, in the syntax of oslo.policy, such as `role:admin`.
    operations: (method, path) of the requests that it guards; none for a rule that only other rules refer to.
    """

    name: str
    check: str
    description: str
    operations: tuple[tuple[str, str], ...] = ()
