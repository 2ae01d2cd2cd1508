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
        "Force a compute host down, or let it in again.",
        (("PUT", "/v1/hosts/{host_name}"),),
    ),
    PolicyRule(
        "precache:hosts:delete",
        _ADMIN,
        "Forget a compute host that is gone for good.",
        (("DELETE", "/v1/hosts/{host_name}"),),
    ),
    PolicyRule(
        "precache:hosts:images",
        _ADMIN,
        "Have images cached on one compute host.",
        (("POST", "/v1/hosts/{host_name}/images"),),
    ),
)
