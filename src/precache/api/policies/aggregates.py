"""Rules of the aggregate calls, with Nova's names, so that one policy file can be used for both services."""

from precache.ports.policy import PolicyRule

_ADMIN = "rule:context_is_admin"
_READER = "rule:precache_reader"
_ALL = "/compute/v2.1/os-aggregates"
_ONE = f"{_ALL}/{{aggregate_id}}"
_ROOT = "os_compute_api:os-aggregates"

RULES = (
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
