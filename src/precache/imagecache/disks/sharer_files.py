"""The files by which hosts that share a cache announce themselves: `.precache-sharers/<host>` in the cache.

Each has the mark of the host's directory of locks, and the files of the cache that its disks use. Its mtime says when
the host was last there, by the clock of the file server.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

from precache.core.errors import SharersUnknown
from precache.core.names import is_name
from precache.core.text import plain_line
from precache.imagecache.names import SHARERS
from precache.imagecache.os_errors import explain
from precache.imagecache.ownership import make_directory
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.staging import create_file
from precache.rules.expiry import shape_of

_VERSION = 1
_MOST_BYTES = 16 << 20
_PATHS_NAMED = 3
_NO_FILE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


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


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a host says of itself; the fields are those of `Sharer`."""

    locks_mark: str
    used: Mapping[str, tuple[Path, ...]] | None
    reason: str = ""


def write_sharer(cache_directory: Path, host: str, announcement: Announcement, now: datetime) -> None:
    """Store the announcement in place of the host's earlier one. Raises OSError."""
    directory = cache_directory / SHARERS
    make_directory(directory)
    draft = directory / f"{host}~{token_hex(4)}"  # '~' is in no name of a host
    try:
        create_file(draft, json.dumps(_document(announcement)).encode() + b"\n")
        publish(draft, directory / host, now)
    finally:
        draft.unlink(missing_ok=True)
    # Without times: the file server's own clock, so that the clocks of the hosts may differ.
    os.utime(directory / host, follow_symlinks=False)


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


def _document(announcement: Announcement) -> Mapping[str, Any]:
    document: dict[str, Any] = {"version": _VERSION, "locks": announcement.locks_mark}
    if announcement.used is None:
        return {**document, "used": None, "reason": plain_line(announcement.reason)}
    # The disks of a host also lead to its other files; only Nova's names are those of the cache.
    named = {
        _text(name): [_text(path) for path in paths[:_PATHS_NAMED]]
        for name, paths in announcement.used.items()
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
