"""The hosts that share one cache directory, as on NFS, and what each of them uses there.

Each host announces itself in a file (`sharer_files`). A host that is silent still counts until an operator removes its
file: its guests may run. Safe for several threads and processes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable, DiskUnreadable, DomainsUnknown, SharersUnknown
from precache.core.text import first_names
from precache.imagecache.cache import ImageCache
from precache.imagecache.disks.directory_mark import mark_directory
from precache.imagecache.disks.in_use import UsedFiles
from precache.imagecache.disks.sharer_files import Announcement, Sharer, read_sharers, write_sharer
from precache.imagecache.names import SHARERS
from precache.imagecache.os_errors import explain
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

ANNOUNCE_INTERVAL = timedelta(minutes=10)
"""How often a host announces itself at least."""

_LATENESS = 2 * ANNOUNCE_INTERVAL
"""A host announces a new disk within one interval, or the next one if the first attempt fails."""

ABSENT_AFTER = 3 * ANNOUNCE_INTERVAL
"""After this time another host is elected."""

_SILENT_AFTER = timedelta(days=1)
"""After this time an operator is told."""

_OTHER_LOCKS = (
    "hosts {} share the cache {}, but not its locks in {}: mount the whole instances directory on all of them, not the "
    "cache alone; until then nothing is removed here"
)
_SILENT = (
    "host {} shares the cache {} and was not seen there for {}; what its guests use stays. If it does not exist any "
    "more, run `precache cache sharer remove {}` on a host that has this cache"
)


class CacheSharers:
    """The hosts that share the cache with `host`. Nothing is known, and nothing is elected, before `announce`.

    own: the disks of this host.
    """

    def __init__(self, *, cache: ImageCache, host: str, own: UsedFiles, clock: Clock) -> None:
        self._cache = cache
        self._directory = cache.directory / SHARERS
        self._host = host
        self._own = own
        self._clock = clock

    def announce(self) -> None:
        """Store what this host uses, and check the other hosts. Raises CacheUnusable."""
        try:
            used, reason = self._own.disks_by_file(), ""
        except (DiskUnreadable, DomainsUnknown) as error:
            used, reason = None, str(error)
        try:
            locks_mark = mark_directory(self._cache.locks.directory)
            announcement = Announcement(locks_mark, used, reason)
            write_sharer(self._cache.directory, self._host, announcement, self._clock.now())
        except OSError as error:
            raise CacheUnusable(str(self._directory), explain(error)) from error
        self._look_after()

    def others(self) -> list[Sharer]:
        """Return the other hosts. Raises SharersUnknown."""
        return [sharer for sharer in self._read() if sharer.host != self._host]

    def why_not_elected(self) -> str:
        """Return which host removes what has expired in place of this one; empty if this one does."""
        try:
            sharers = self._read()
        except SharersUnknown as error:
            return str(error)
        if all(sharer.host != self._host for sharer in sharers):
            return f"host {self._host} has not announced itself in {self._cache.directory} yet"
        elected = min(each.host for each in sharers if each.silent_for < ABSENT_AFTER)
        return "" if elected == self._host else f"host {elected}, which shares this cache, cleans it for all"

    def leaves_to_another(self) -> bool:
        """Return whether other hosts share the cache, and one of them is elected; False if that is not known."""
        return self.has_others() and bool(self.why_not_elected())

    def has_others(self) -> bool:
        """Return whether other hosts share the cache; False if that is not known."""
        try:
            return bool(self.others())
        except SharersUnknown:
            return False

    def lateness(self) -> timedelta:
        """Return how long it may take until a new disk of another host is known; zero without other hosts.

        Raises SharersUnknown.
        """
        return _LATENESS if self.others() else timedelta()

    def disks_by_file(self) -> Mapping[str, tuple[Path, ...]]:
        """Return what the disks of all sharers use; those of other hosts as `<host>:<path>`.

        Raises DiskUnreadable, DomainsUnknown, SharersUnknown.
        """
        found = dict(self._own.disks_by_file())
        others = self.others()
        self._check_locks(others)
        for sharer in others:
            if sharer.used is None:
                raise SharersUnknown(str(self._cache.directory), f"on host {sharer.host}: {sharer.reason}")
            for name, paths in sharer.used.items():
                found[name] = (*found.get(name, ()), *(Path(f"{sharer.host}:{path}") for path in paths))
        return found

    def _check_locks(self, others: Sequence[Sharer]) -> None:
        """Raise SharersUnknown if a host has other locks: it may use an entry at this moment."""
        own_mark = self._own_mark()
        apart = [sharer.host for sharer in others if sharer.locks_mark != own_mark]
        if apart:
            hosts, cache = first_names([self._host, *apart]), self._cache
            text = _OTHER_LOCKS.format(hosts, cache.directory, cache.locks.directory)
            cache.alarms.set(AlarmKind.UNSAFE_SHARING, "", None, text)
            raise SharersUnknown(str(cache.directory), text)
        self._cache.alarms.clear(AlarmKind.UNSAFE_SHARING, "")

    def _own_mark(self) -> str:
        try:
            return mark_directory(self._cache.locks.directory)
        except OSError as error:
            raise SharersUnknown(str(self._cache.locks.directory), explain(error)) from error

    def _look_after(self) -> None:
        """Set the alarms about other hosts; what cannot be read is logged when something is to be removed."""
        with suppress(SharersUnknown):
            others, alarms = self.others(), self._cache.alarms
            silent = {each.host: each.silent_for for each in others if each.silent_for >= _SILENT_AFTER}
            for host, silent_for in silent.items():
                text = _SILENT.format(host, self._cache.directory, silent_for, host)
                alarms.set(AlarmKind.SILENT_SHARER, host, None, text)
            for alarm in alarms.current():
                if alarm.kind is AlarmKind.SILENT_SHARER and alarm.entry not in silent:
                    alarms.clear(alarm.kind, alarm.entry)
            self._check_locks(others)

    def _read(self) -> list[Sharer]:
        """Return all hosts. An alarm is set while that is not possible; `_check_locks` ends it."""
        try:
            try:
                return list(read_sharers(self._cache.directory, self._host))
            except OSError as error:
                raise SharersUnknown(str(self._directory), explain(error)) from error
        except SharersUnknown as error:
            text = f"Until then nothing is removed from the cache {self._cache.directory}: {error}"
            self._cache.alarms.set(AlarmKind.UNSAFE_SHARING, "", None, text)
            raise
