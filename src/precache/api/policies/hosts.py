"""Rules of the compute hosts."""

from precache.ports.policy import PolicyRule

_ADMIN = "rule:context_is_admin"

RULES = (
    PolicyRule("precache:hosts:list", _ADMIN, "List compute hosts.", (("GET", "/v1/hosts"),)),
    PolicyRule("precache:hosts:show", _ADMIN, "Show one compute host.", (("GET", "/v1/hosts/{host_name}"),)),
    PolicyRule(
        "precache:hosts:update",
        _ADMIN,
        "Force a compute host down, or let it in again.",
        (("PUT", "/v1/hosts/{host_name}"),),
    ),
)
