"""Rules of the jobs."""

from precache.ports.policy import PolicyRule

_READER = "rule:precache_reader"

RULES = (
    PolicyRule("precache:jobs:list", _READER, "List jobs.", (("GET", "/v1/jobs"),)),
    PolicyRule(
        "precache:jobs:show",
        _READER,
        "Show one job and its tasks.",
        (("GET", "/v1/jobs/{job_id}"), ("GET", "/v1/jobs/{job_id}/tasks")),
    ),
)
