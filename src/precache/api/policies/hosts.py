"""Rules of the compute hosts."""

from precache.ports.policy import PolicyRule

_ADMIN = "rule:context_is_admin"
_READER = "rule:precache_reader"

RULES = (
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
        "precache:hosts:images",
        _ADMIN,
        "Cache images on one compute host.",
        (("POST", "/v1/hosts/{host_name}/images"),),
    ),
)
