"""What a host says of its part in swarms when an operator checks a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SwarmState:
    """How a host takes part in swarms.

    address: where it serves pieces, such as `192.0.2.7:8785`; empty if it serves none.
    certified_until: when its certificate ends; None if it has none that is valid.
    unreached: why it did not reach the host that it was asked to try; empty if it did, or was asked for none.
    """

    address: str = ""
    certified_until: datetime | None = None
    unreached: str = ""
