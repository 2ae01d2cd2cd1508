"""The default policies as plain data. Aggregate calls have Nova's names: one policy file serves both services."""

from precache.ports.policy import PolicyRule

ADMIN = PolicyRule("context_is_admin", "role:admin", "Administrators; most other rules refer to it.")

READER = PolicyRule(
    "precache_reader",
    "rule:context_is_admin or role:precache_reader or (role:reader and system_scope:all)",
    "Readers of the whole cloud's jobs, hosts, caches and aggregates. The role reader on a project is not enough, "
    "because every tenant has it. Tokens of `precache token create` have the scope system:all.",
)

_ADMIN = "rule:context_is_admin"
_READER = "rule:precache_reader"
_ALL = "/compute/v2.1/os-aggregates"
_ONE = f"{_ALL}/{{aggregate_id}}"
_ROOT = "os_compute_api:os-aggregates"

_AGGREGATES = (
    PolicyRule(f"{_ROOT}:index", _READER, "List all aggregates.", (("GET", _ALL),)),
    PolicyRule(f"{_ROOT}:create", _ADMIN, "Create an aggregate.", (("POST", _ALL),)),
    PolicyRule(f"{_ROOT}:show", _READER, "Show one aggregate.", (("GET", _ONE),)),
    PolicyRule(f"{_ROOT}:update", _ADMIN, "Change an aggregate's name or availability zone.", (("PUT", _ONE),)),
    PolicyRule(f"{_ROOT}:delete", _ADMIN, "Delete an aggregate.", (("DELETE", _ONE),)),
    PolicyRule(f"{_ROOT}:add_host", _ADMIN, "Add a host to an aggregate.", (("POST", f"{_ONE}/action"),)),
    PolicyRule(f"{_ROOT}:remove_host", _ADMIN, "Remove a host from an aggregate.", (("POST", f"{_ONE}/action"),)),
    PolicyRule(f"{_ROOT}:set_metadata", _ADMIN, "Change an aggregate's metadata.", (("POST", f"{_ONE}/action"),)),
    PolicyRule(
        "compute:aggregates:images",
        _ADMIN,
        "Cache images on the hosts of an aggregate.",
        (("POST", f"{_ONE}/images"),),
    ),
)

_NEW_JOB = (("POST", "/v1/jobs"),)

_JOBS = (
    PolicyRule("precache:jobs:list", _READER, "List jobs.", (("GET", "/v1/jobs"),)),
    PolicyRule(
        "precache:jobs:show",
        _READER,
        "Show one job and its tasks.",
        (
            ("GET", "/v1/jobs/{job_id}"),
            ("GET", "/v1/jobs/{job_id}/hosts"),
            ("GET", "/v1/jobs/{job_id}/sites"),
            ("GET", "/v1/jobs/{job_id}/tasks"),
            ("GET", "/v1/jobs/{job_id}/events"),
        ),
    ),
    PolicyRule("precache:jobs:create", _ADMIN, "Cache images, with options.", _NEW_JOB),
    PolicyRule("precache:jobs:update", _ADMIN, "Change the options of a job.", (("PATCH", "/v1/jobs/{job_id}"),)),
    PolicyRule("precache:jobs:cancel", _ADMIN, "Cancel a job.", (("POST", "/v1/jobs/{job_id}/cancel"),)),
    PolicyRule(
        "precache:jobs:pause",
        _ADMIN,
        "Pause a job, and resume it.",
        (("POST", "/v1/jobs/{job_id}/pause"), ("POST", "/v1/jobs/{job_id}/resume")),
    ),
    PolicyRule(
        "precache:jobs:retry",
        _ADMIN,
        "Run the tasks of an ended job again that were no success.",
        (("POST", "/v1/jobs/{job_id}/retry"),),
    ),
)

_HOSTS = (
    PolicyRule("precache:hosts:list", _READER, "List compute hosts.", (("GET", "/v1/hosts"),)),
    PolicyRule("precache:hosts:show", _READER, "Show one compute host.", (("GET", "/v1/hosts/{host_name}"),)),
    PolicyRule(
        "precache:hosts:update",
        _ADMIN,
        "Force a compute host down, or undo that.",
        (("PUT", "/v1/hosts/{host_name}"),),
    ),
    PolicyRule(
        "precache:hosts:delete",
        _ADMIN,
        "Delete a compute host.",
        (("DELETE", "/v1/hosts/{host_name}"),),
    ),
    PolicyRule(
        "precache:hosts:cache",
        _READER,
        "List the images in the cache of one compute host.",
        (("GET", "/v1/hosts/{host_name}/images"),),
    ),
    PolicyRule(
        "precache:hosts:clean",
        _ADMIN,
        "Remove unused images from the cache of one compute host.",
        (("POST", "/v1/hosts/{host_name}/clean"),),
    ),
    PolicyRule(
        "precache:hosts:images",
        _ADMIN,
        "Cache images on one compute host.",
        (("POST", "/v1/hosts/{host_name}/images"),),
    ),
)

_IMAGES = (
    PolicyRule("precache:images:list", _READER, "List the images in the caches.", (("GET", "/v1/images"),)),
    PolicyRule(
        "precache:images:hosts",
        _READER,
        "List the hosts whose caches hold an image.",
        (("GET", "/v1/images/{image_id}/hosts"),),
    ),
    # For jobs with another operation than `cache`, in place of `precache:jobs:create`: a caller who may have images
    # cached need not be allowed to remove those of others.
    PolicyRule("precache:images:verify", _ADMIN, "Verify images in the caches.", _NEW_JOB),
    PolicyRule("precache:images:purge", _ADMIN, "Remove images from the caches.", _NEW_JOB),
    PolicyRule("precache:images:pin", _ADMIN, "Pin images in the caches.", _NEW_JOB),
    PolicyRule("precache:images:unpin", _ADMIN, "Remove the pins of images in the caches.", _NEW_JOB),
)

RULES: tuple[PolicyRule, ...] = (ADMIN, READER, *_AGGREGATES, *_JOBS, *_HOSTS, *_IMAGES)
"""All rules."""
