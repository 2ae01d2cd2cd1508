"""How large the sites are that are measured: so that the links are the limit, not this machine's processors."""

from __future__ import annotations

from dataclasses import dataclass

from tests.namespaces import STRICT_BURST_BYTES

MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """One site. image_mib: of incompressible data. mbit_per_s: of the link of each host.

    direct_mib: of the image that each host fetches by itself, which takes hosts times as long.
    burst_bytes: of the shaper.
    """

    image_mib: int
    mbit_per_s: int
    direct_mib: int
    burst_bytes: int = STRICT_BURST_BYTES

    @property
    def bits_per_s(self) -> int:
        return self.mbit_per_s * MEGA

    def floor_s(self, size_bytes: int, uplink_share: float = 1.0) -> float:
        """Return the least time in which a link carries so many bytes. uplink_share: of the rate."""
        return size_bytes * 8 / (self.bits_per_s * uplink_share)


FULL = {
    8: Size(image_mib=48, mbit_per_s=30, direct_mib=10),
    16: Size(image_mib=48, mbit_per_s=30, direct_mib=5),
    32: Size(image_mib=48, mbit_per_s=20, direct_mib=2),
    64: Size(image_mib=24, mbit_per_s=10, direct_mib=1),
}

FAST = 3, Size(image_mib=256, mbit_per_s=400, direct_mib=1, burst_bytes=1_000_000)
"""The number of hosts, and the site, for what a host that passes pieces on needs of a processor: on slow links packets
are smaller, and each wakes a sender or a receiver."""

QUICK = {
    4: Size(image_mib=8, mbit_per_s=30, direct_mib=4),
    8: Size(image_mib=8, mbit_per_s=30, direct_mib=2),
}
