"""The hosts that share one cache directory, as on NFS, and what each of them uses there.

Each host keeps a file `.precache-sharers/<host>` in the cache: the mark of its directory of locks, and the entries that
its disks use. Its mtime says when the host was last there, by the clock of the file server. A host that is silent still
counts until an operator removes its file: its guests may run. Safe for several threads and processes.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

from precache.core.cache_entries import AlarmKind
from precache.core.errors import CacheUnusable, DiskUnreadable, DomainsUnknown, SharersUnknown
from precache.core.names import is_name
from precache.core.text import first_names, plain_line
from precache.imagecache.cache import ImageCache
from precache.imagecache.disks.directory_mark import mark_directory
from precache.imagecache.disks.in_use import UsedFiles
from precache.imagecache.names import SHARERS
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import make_directory
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.staging import create_file
from precache.ports.clock import Clock
from precache.rules.expiry import shape_of

_log = logging.getLogger(__name__)

ANNOUNCE_INTERVAL = timedelta(minutes=10)
"""How often a host announces itself at least."""

_LATENESS = 2 * ANNOUNCE_INTERVAL
"""A host announces a new disk within one interval, or the next one if the first attempt fails."""

ABSENT_AFTER = 3 * ANNOUNCE_INTERVAL
"""After this time another host is elected."""

_SILENT_AFTER = timedelta(days=1)
"""After this time an operator is told."""

_VERSION = 1
_MOST_BYTES = 16 << 20
_PATHS_NAMED = 3
_NO_FILE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

_OTHER_LOCKS = (
    "hosts {} share the cache {}, but not its locks in {}: mount the whole instances directory on all of them, not the "
    "cache alone; until then nothing is removed here"
)
_SILENT = (
    "host {} shares the cache {} and was not seen there for {}; what its guests use stays. If it does not exist any "
    "more, run `precache cache sharer remove {}` on a host that has this cache"
)


@dataclass(frozen=True, slots=True)
class Sharer:
    """A host that uses the cache.

    silent_for: since it last announced itself. locks_mark: of its directory of locks.
    used: the files that its disks use; None if it does not know, for the `reason`.
    """

    host: str
    silent_for: timedelta
    locks_mark: str
    used: Mapping[str, tuple[str, ...]] | None
    reason: str = ""


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
            make_directory(self._directory)
            self._write(_document(locks_mark, used, reason))
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

    def _write(self, document: Mapping[str, Any]) -> None:
        draft = self._directory / f"{self._host}~{token_hex(4)}"  # '~' is in no name of a host
        try:
            create_file(draft, json.dumps(document).encode() + b"\n")
            publish(draft, self._directory / self._host, self._clock.now())
        finally:
            draft.unlink(missing_ok=True)
        # Without times: the file server's own clock, so that the clocks of the hosts may differ.
        os.utime(self._directory / self._host, follow_symlinks=False)

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


def read_sharers(cache_directory: Path, now_of: str | None = None) -> Iterator[Sharer]:
    """Yield the hosts that share the cache, by name.

    now_of: the host whose last announcement counts as now; without it the newest one does. Raises OSError,
    SharersUnknown for a file that says nothing.
    """
    directory = cache_directory / SHARERS
    try:
        names = sorted(path.name for path in directory.iterdir() if is_name(path.name))
    except FileNotFoundError:
        return
    with open_directory(directory) as opened:
        times = {name: os.stat(name, dir_fd=opened, follow_symlinks=False).st_mtime for name in names}
        now = times.get(now_of or "", max(times.values(), default=0.0))
        for name in names:
            yield _read_one(directory, opened, name, timedelta(seconds=max(0.0, now - times[name])))


def remove_sharer(cache_directory: Path, host: str) -> bool:
    """Let the host count no longer, whatever has its name, except a directory that is not empty.

    Return whether it did count. Raises OSError.
    """
    path = cache_directory / SHARERS / host
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True


def silence_of(cache_directory: Path, host: str) -> timedelta | None:
    """Return how long ago the host was last there, by the file server's clock; None if its name has no file.

    Raises OSError.
    """
    directory = cache_directory / SHARERS
    try:
        found = (directory / host).lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    probe = directory / f"{host}~{token_hex(4)}"
    try:
        create_file(probe, b"")
        now = probe.lstat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
    return timedelta(seconds=max(0.0, now - found.st_mtime))


def _document(locks_mark: str, used: Mapping[str, tuple[Path, ...]] | None, reason: str) -> Mapping[str, Any]:
    document: dict[str, Any] = {"version": _VERSION, "locks": locks_mark}
    if used is None:
        return {**document, "used": None, "reason": plain_line(reason)}
    # The disks of a host also lead to its other files; only Nova's names are those of the cache.
    named = {
        _text(name): [_text(path) for path in paths[:_PATHS_NAMED]]
        for name, paths in used.items()
        if shape_of(name) is not None
    }
    return {**document, "used": named}


def _text(path: Path | str) -> str:
    """Return a file name as text that JSON can hold, also if it is not UTF-8; the names of entries are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_one(directory: Path, opened: int, name: str, silent_for: timedelta) -> Sharer:
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
            advice = f"remove it; of a link or an empty directory `precache cache sharer remove {name}` does that"
            raise SharersUnknown(str(directory / name), "it is not a file, so no compute made it", advice)
        with os.fdopen(open_own(name, opened), "rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
        if document["version"] != _VERSION:
            raise ValueError(f"it has version {document['version']!r}")
        used = document["used"]
        files = None if used is None else {entry: tuple(map(str, paths)) for entry, paths in used.items()}
        return Sharer(name, silent_for, str(document["locks"]), files, plain_line(str(document.get("reason", ""))))
    except OSError as error:
        raise SharersUnknown(str(directory / name), explain(error)) from error
    except _NO_FILE as error:
        advice = f"it is rewritten by the compute on host {name}; if that host does not exist any more, remove the file"
        raise SharersUnknown(str(directory / name), f"{type(error).__name__}: {error}", advice) from error
