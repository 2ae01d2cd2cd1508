"""The share of each host in the limit of a job's rate."""

from __future__ import annotations

from dataclasses import replace

from precache.core.orders import ImageOrder


def share_of(limit_bytes_per_s: int | None, hosts_at_once: int) -> int | None:
    """Return the rate of each host, so that all together do not exceed the limit; None for no limit."""
    return None if limit_bytes_per_s is None else max(1, limit_bytes_per_s // max(1, hosts_at_once))


def limited(order: ImageOrder, share_bytes_per_s: int | None) -> ImageOrder:
    """Return the order with the lower one of its own limit and the share."""
    limits = [limit for limit in (order.options.rate_limit_bytes_per_s, share_bytes_per_s) if limit is not None]
    lowest = min(limits, default=None)
    if lowest == order.options.rate_limit_bytes_per_s:
        return order
    return replace(order, options=replace(order.options, rate_limit_bytes_per_s=lowest))


def is_worth_telling(told_bytes_per_s: int | None, share_bytes_per_s: int | None) -> bool:
    """Return whether the hosts must know a new share: a lower one always, a higher one if it is by a quarter.

    Otherwise each host that ends near the end of a job would cause a message to each of the others.
    """
    if told_bytes_per_s is None or share_bytes_per_s is None:
        return told_bytes_per_s != share_bytes_per_s
    return not told_bytes_per_s <= share_bytes_per_s < told_bytes_per_s * 1.25
