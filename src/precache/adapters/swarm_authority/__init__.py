"""The authority of the conductors over hosts that pass images on to each other."""

from precache.adapters.swarm_authority.authority import Authority, AuthorityKey
from precache.adapters.swarm_authority.keys_sql import SqlAuthorityKeys
from precache.adapters.swarm_authority.stored import StoredAuthority, add_next

__all__ = ["Authority", "AuthorityKey", "SqlAuthorityKeys", "StoredAuthority", "add_next"]
