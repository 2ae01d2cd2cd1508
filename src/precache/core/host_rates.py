"""How fast a host has received images, as earlier relays have shown it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostRates:
    """uplink_bytes_per_s: from the image service. link_bytes_per_s: from other hosts. 0 while unknown."""

    uplink_bytes_per_s: int = 0
    link_bytes_per_s: int = 0


UNKNOWN_RATES = HostRates()
