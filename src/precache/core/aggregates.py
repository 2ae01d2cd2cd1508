"""Host aggregates: named sets of hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

AVAILABILITY_ZONE = "availability_zone"
"""The metadata key that Nova's API also shows as a separate field."""

SITE = "precache_site"
"""The metadata key with the site of the hosts that announce none themselves."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A named set of hosts. `hosts` keeps the order in which they were added; instants are aware UTC."""

    id: int
    uuid: str
    name: str
    created_at: datetime
    updated_at: datetime | None = None
    hosts: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def availability_zone(self) -> str | None:
        return self.metadata.get(AVAILABILITY_ZONE)
