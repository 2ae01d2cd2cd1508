"""What is remembered of the rates of a host. In a chain a host is as slow as the slowest before it, so the best of
its recent rates tells most of its own link."""

from __future__ import annotations

from precache.core.host_rates import HostRates
from precache.core.relays import RelayMember, Source

_KEPT = 7 / 8
"""A lower rate brings the remembered one down by so much: a link that has become slow is known after some relays."""


def remembered(before: HostRates, member: RelayMember) -> HostRates:
    """Return the rates of a host that has an image now, from those that were remembered before."""
    rate = member.rate_bytes_per_s
    if not rate:
        return before
    if member.source is Source.IMAGE_SERVICE:
        return HostRates(_best(before.uplink_bytes_per_s, rate), before.link_bytes_per_s)
    if member.source is Source.HOST:
        return HostRates(before.uplink_bytes_per_s, _best(before.link_bytes_per_s, rate))
    return before


def _best(before: int, now: int) -> int:
    return max(now, int(before * _KEPT))
