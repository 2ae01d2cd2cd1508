"""The names of a host in its certificate: URIs for the host, its cell and its site.

They are not in the subject, because a common name has at most 64 characters, and a host's name up to 255.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from precache.core.swarm_certificates import HostIdentity

_KINDS = ("host", "cell", "site")


def uris_of(identity: HostIdentity) -> list[str]:
    return [f"precache:{kind}:{quote(getattr(identity, kind), safe='')}" for kind in _KINDS]


def identity_of(uris: Iterable[str]) -> HostIdentity | None:
    """Return whose certificate has these URIs; None unless each kind of name is there exactly once."""
    found: dict[str, str] = {}
    for uri in uris:
        scheme, _, rest = uri.partition(":")
        kind, _, name = rest.partition(":")
        if scheme != "precache" or kind not in _KINDS or kind in found:
            return None
        found[kind] = unquote(name)
    return HostIdentity(**found) if len(found) == len(_KINDS) else None
