"""Default policies as plain data, one file per noun."""

from precache.api.policies import aggregates, hosts, jobs
from precache.ports.policy import PolicyRule

ADMIN = PolicyRule("context_is_admin", "role:admin", "Administrators; most other rules refer to it.")

READER = PolicyRule(
    "precache_reader",
    "rule:context_is_admin or role:precache_reader or (role:reader and system_scope:all)",
    "Readers of the whole cloud's jobs, hosts and aggregates. The role reader on a project is not enough, because "
    "every tenant has it. Tokens of `precache token create` have the scope system:all.",
)

RULES: tuple[PolicyRule, ...] = (ADMIN, READER, *aggregates.RULES, *jobs.RULES, *hosts.RULES)
"""All rules."""
