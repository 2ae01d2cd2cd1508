"""Which reports a host sends of its cache: everything, or what has changed since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from precache.core.cache_entries import Alarm, CachedEntry, CacheReport, CacheSpace, Removal

MOST_ENTRIES = 5_000
"""The most entries of a report: those with the first names. Only their number is reported of the others."""

_SPACE_SHARE = 100
"""A change of the free space by less than one part in so many of the total is not reported by itself: it changes with
each write of a guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheState:
    """What a host knows of its cache now. The fields are those of `CacheReport`."""

    entries: tuple[CachedEntry, ...] = ()
    space: CacheSpace | None = None
    cache_id: str = ""
    owner: str = ""
    policy: str = ""
    removals: tuple[Removal, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    unsupported: str = ""


@dataclass(slots=True)
class ReportSeries:
    """Makes the reports of a compute, from its start to its end.

    Changes are all since the last full report: an entry that was reported since is in each report of changes, also if
    it is as before again. So a report that was lost is not missed after the next one.
    """

    host: str
    cell: str
    boot_id: str
    _sequence: int = 0
    _base: int = 0
    _last: CacheReport | None = None
    _listed: dict[str, CachedEntry] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)

    def full(self, state: CacheState, at: datetime) -> CacheReport:
        """Return a report of everything."""
        self._sequence += 1
        self._base, self._touched = self._sequence, set()
        self._listed = _first_entries(state.entries)
        return self._report(state, at, self._listed.values())

    def changes(self, state: CacheState, at: datetime) -> CacheReport | None:
        """Return a report of the changes, or of everything if that is no more; None without a change to report."""
        if self._last is None:
            return self.full(state, at)
        now, before = _first_entries(state.entries), self._listed
        changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
        if not changed and not self._is_news(state):
            return None
        touched = self._touched | changed
        if 2 * len(touched) > len(now):
            return self.full(state, at)
        self._sequence += 1
        self._listed, self._touched = now, touched
        entries = [now[name] for name in sorted(touched) if name in now]
        return self._report(state, at, entries, tuple(sorted(touched - now.keys())))

    def lose(self) -> None:
        """Note that a report could not be sent: the next one is a full one."""
        self._last = None

    def _is_news(self, state: CacheState) -> bool:
        """Return whether something else than entries has changed enough to be reported."""
        last = self._last
        return (
            last is None
            or (last.cache_id, last.owner, last.policy) != (state.cache_id, state.owner, state.policy)
            or (last.removals, last.alarms) != (state.removals, state.alarms)
            or (last.unlisted, last.unsupported) != (_unlisted(state), state.unsupported)
            or _differs(last.space, state.space)
        )

    def _report(
        self, state: CacheState, at: datetime, entries: Iterable[CachedEntry], gone: tuple[str, ...] = ()
    ) -> CacheReport:
        self._last = CacheReport(
            host=self.host,
            cell=self.cell,
            boot_id=self.boot_id,
            sequence=self._sequence,
            base=self._base,
            at=at,
            space=state.space,
            cache_id=state.cache_id,
            owner=state.owner,
            policy=state.policy,
            entries=tuple(entries),
            gone=gone,
            unlisted=_unlisted(state),
            removals=state.removals,
            alarms=state.alarms,
            unsupported=state.unsupported,
        )
        return self._last


def _first_entries(entries: tuple[CachedEntry, ...]) -> dict[str, CachedEntry]:
    return {each.entry: each for each in sorted(entries, key=lambda each: each.entry)[:MOST_ENTRIES]}


def _unlisted(state: CacheState) -> int:
    return max(0, len(state.entries) - MOST_ENTRIES)


def _differs(before: CacheSpace | None, now: CacheSpace | None) -> bool:
    if before is None or now is None:
        return before is not now
    if (before.total_bytes, before.reserve_bytes) != (now.total_bytes, now.reserve_bytes):
        return True
    changes = (now.free_bytes - before.free_bytes, now.promised_bytes - before.promised_bytes)
    return any(abs(change) * _SPACE_SHARE > now.total_bytes for change in changes)
