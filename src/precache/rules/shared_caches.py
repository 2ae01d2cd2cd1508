"""Jobs on hosts that share a cache: one of them works for all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from precache.core.hosts import Host
from precache.core.jobs import Outcome, TaskResult

_OF_THE_CACHE = frozenset(
    {
        Outcome.CACHED,
        Outcome.EXISTING,
        Outcome.INTACT,
        Outcome.CORRUPT,
        Outcome.UNVERIFIABLE,
        Outcome.PURGED,
        Outcome.ABSENT,
        Outcome.IN_USE,
        Outcome.PINNED,
        Outcome.UNPINNED,
    }
)
"""Outcomes that say something of the cache. All others say something of one host or its connections."""


def by_shared_cache(hosts: Iterable[Host]) -> Mapping[tuple[str, str], Sequence[Host]]:
    """Return the hosts by cell and cache, in their order; without those that share no cache with another of them.

    Hosts of different cells count as if they shared none: their conductors reach them in different ways.
    """
    sharing: dict[tuple[str, str], list[Host]] = {}
    for host in hosts:
        if host.cache_id and host.cell is not None:
            sharing.setdefault((host.cell, host.cache_id), []).append(host)
    return {place: group for place, group in sharing.items() if len(group) > 1}


def first_of(sharers: Sequence[Host], called: Collection[str]) -> Host:
    """Return the host that works for all: one that was called already, else the first."""
    return next((host for host in sharers if host.name in called), sharers[0])


def result_for_sharer(result: TaskResult, host: str) -> TaskResult | None:
    """Return the result of a host that shares the cache of `host`, which has this result; None if it says nothing of
    the cache.
    """
    if result.outcome not in _OF_THE_CACHE:
        return None
    outcome = Outcome.EXISTING if result.outcome is Outcome.CACHED else result.outcome
    reason = f"by host {host}, which shares this cache" + (f": {result.reason}" if result.reason else "")
    return replace(result, outcome=outcome, bytes_moved=0, reason=reason, may_pass=False)
