"""Who may do what unless the operator says otherwise: plain data, one file per noun."""

from precache.api.policies import aggregates, hosts, jobs
from precache.ports.policy import PolicyRule

ADMIN = PolicyRule("context_is_admin", "role:admin", "Who counts as an administrator; most other rules refer to it.")

RULES: tuple[PolicyRule, ...] = (ADMIN, *aggregates.RULES, *jobs.RULES, *hosts.RULES)
"""Every rule there is."""
