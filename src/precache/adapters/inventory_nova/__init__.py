"""The inventory of a deployment in which Nova owns hosts and aggregates: read from its API, never changed.

Heartbeats show which of Nova's hosts have a Precache compute; the two are joined by host name.
"""

from precache.adapters.inventory_nova.aggregates import NovaAggregates
from precache.adapters.inventory_nova.api import NovaApi
from precache.adapters.inventory_nova.foreign import ForeignInventory
from precache.adapters.inventory_nova.hosts import NovaHosts

__all__ = ["ForeignInventory", "NovaAggregates", "NovaApi", "NovaHosts"]
