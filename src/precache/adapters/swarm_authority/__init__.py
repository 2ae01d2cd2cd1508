"""The authority of the conductors over hosts that pass images on to each other."""

from precache.adapters.swarm_authority.authority import Authority, AuthorityKey, signing_key
from precache.adapters.swarm_authority.keys_sql import SqlAuthorityKeys
from precache.adapters.swarm_authority.stored import StoredAuthority, add_next, still_trusted

__all__ = [
    "Authority",
    "AuthorityKey",
    "SqlAuthorityKeys",
    "StoredAuthority",
    "add_next",
    "signing_key",
    "still_trusted",
]
