"""Which calls to hosts are more than a job may have, after its limits were lowered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from precache.core.hosts import Host


def excess_calls(
    called: Iterable[tuple[str, Host]], *, most: int | None, most_per_site: int | None
) -> list[tuple[str, Host]]:
    """Return the calls beyond the limits: those that began last, because they have the least to lose.

    called: cells and hosts, in the order in which their calls began. most, most_per_site: None for no limit.
    """
    excess: list[tuple[str, Host]] = []
    kept: Counter[str] = Counter()
    for cell, host in called:
        has_room = most is None or kept.total() < most
        if has_room and (most_per_site is None or kept[host.site] < most_per_site):
            kept[host.site] += 1
        else:
            excess.append((cell, host))
    return excess
