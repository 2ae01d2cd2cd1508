"""Who may do what unless the operator says otherwise: plain data, one file per noun."""

from precache.api.policies import aggregates, hosts, jobs
from precache.ports.policy import PolicyRule

ADMIN = PolicyRule("context_is_admin", "role:admin", "Who counts as an administrator; most other rules refer to it.")

READER = PolicyRule(
    "precache_reader",
    "rule:context_is_admin or role:precache_reader or (role:reader and system_scope:all)",
    "Who may look at the whole cloud's jobs, hosts and aggregates without changing anything. The role reader on a "
    "project is not enough: every tenant has it. Tokens of `precache token create` have the scope system:all.",
)

RULES: tuple[PolicyRule, ...] = (ADMIN, READER, *aggregates.RULES, *jobs.RULES, *hosts.RULES)
"""Every rule there is."""
