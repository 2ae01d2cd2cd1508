"""Rules of the jobs."""

from precache.ports.policy import PolicyRule

_ADMIN = "rule:context_is_admin"

RULES = (
    PolicyRule("precache:jobs:list", _ADMIN, "List jobs.", (("GET", "/v1/jobs"),)),
    PolicyRule(
        "precache:jobs:show",
        _ADMIN,
        "Show one job and its tasks.",
        (("GET", "/v1/jobs/{job_id}"), ("GET", "/v1/jobs/{job_id}/tasks")),
    ),
)
