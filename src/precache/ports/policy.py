"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as authentication found out.

    token: for asking the image service in their name.
    Roles are on the project, or on the whole cloud if `system_scope` is `all`, or on the domain `domain_id`.
    """

    user_id: str
    project_id: str
    roles: tuple[str, ...]
    token: str | None = field(default=None, repr=False)
    user_name: str = ""
    project_name: str = ""
    user_domain_id: str = ""
    project_domain_id: str = ""
    domain_id: str = ""
    system_scope: str = ""

    @property
    def has_scope(self) -> bool:
        """Return whether the roles mean anything here: those on a domain are about its users and projects."""
        return bool(self.project_id) or self.system_scope == "all"


class Policy(Protocol):
    def allows(self, caller: Caller, rule: str) -> bool:
        """Return whether the rule, by its name such as `compute:aggregates:images`, lets the caller through."""
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
