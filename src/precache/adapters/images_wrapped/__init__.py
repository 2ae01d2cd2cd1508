"""Concerns that wrap any `ImageSource`; wiring chooses and orders them.

`Retrying(Limited(Failover([GlanceImages(...), ...]), connections=4))` reads as a sentence, and is what it says.
"""

from precache.adapters.images_wrapped.failover import Failover
from precache.adapters.images_wrapped.limited import Limited
from precache.adapters.images_wrapped.retrying import Retrying

__all__ = ["Failover", "Limited", "Retrying"]
