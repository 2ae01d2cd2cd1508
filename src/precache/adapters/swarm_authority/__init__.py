"""The authority of the conductors over hosts that pass images on to each other."""

from precache.adapters.swarm_authority.authority import Authority, AuthorityKey

__all__ = ["Authority", "AuthorityKey"]
