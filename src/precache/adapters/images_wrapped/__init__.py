"""Wrappers for any `ImageSource`; wiring chooses and orders them.

Example: `Retrying(Limited(Failover([GlanceImages(...), ...]), connections=4))`.
"""

from precache.adapters.images_wrapped.failover import Failover
from precache.adapters.images_wrapped.limited import Limited
from precache.adapters.images_wrapped.retrying import Retrying

__all__ = ["Failover", "Limited", "Retrying"]
