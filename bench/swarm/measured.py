"""What one run has shown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Measured:
    """seconds: from the request to the last host. cpu_s: of all hosts. origin_bytes: that the image service has sent.

    floor_s: the least time that the links admit: bytes by rate. idle: share of the processors, from 0 to 1.
    hosts_s: of each host. memory_bytes: the most that a host has used above its idle process. origin_copies: bytes from
    the image service by the bytes of the image. relay_cpu_s: the most of a host that got the image from another.
    messages: of hosts to the conductor. gap_s: the longest time without a byte at the host behind a fault.
    moved_ratio: bytes that each host got from another by those that it lacked; uplink_ratio: the same of the bytes from
    the image service.
    """

    seconds: float
    cpu_s: float = 0.0
    floor_s: float = 0.0
    idle: float = 0.0
    origin_bytes: int = 0
    origin_copies: float = 0.0
    memory_bytes: int = 0
    relay_cpu_s: float = 0.0
    messages: int = 0
    gap_s: float = 0.0
    moved_ratio: float = 0.0
    uplink_ratio: float = 0.0
    hosts_s: list[float] = field(default_factory=list)

    @property
    def x(self) -> float:
        """Return the time as a multiple of the least possible."""
        return self.seconds / self.floor_s
