"""The list of disks that Precache made on an entry, in any directory.

One file beside each entry, `<entry>.overlays`; Nova ignores it. Each line is a JSON object: `path`, and `directory`,
the mark of the directory that the disk was made in (`directory_mark`). Older lists have a JSON string, only the path.
A list is changed only under the entry's lock and removed with the entry.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from pathlib import Path

from precache.core.errors import CacheUnusable, DiskRefused, DiskUnreadable
from precache.imagecache.disks.directory_mark import mark_directory, mark_of
from precache.imagecache.names import overlays_name
from precache.imagecache.os_errors import explain
from precache.imagecache.publish import publish
from precache.imagecache.staging import Staging, create_file

_SUFFIX = overlays_name("")


class Presence(Enum):
    """The presence of a listed disk."""

    THERE = auto()
    GONE = auto()  # its directory is there, and the disk is not in it
    UNKNOWN = auto()  # its file system may not be mounted


@dataclass(frozen=True, slots=True)
class ListedOverlay:
    """A disk that Precache made. directory: the mark of its directory; None if it was listed by an older release."""

    path: Path
    directory: str | None

    def presence(self) -> Presence:
        """Return whether the disk is there. Any doubt is UNKNOWN."""
        try:
            if os.path.lexists(self.path):
                return Presence.THERE
            is_same_directory = self.directory is not None and mark_of(self.path.parent) == self.directory
        except OSError:
            return Presence.UNKNOWN
        # The mark is read after the disk: a file system that was mounted in between would have shown the disk.
        is_gone = is_same_directory and not os.path.lexists(self.path)
        return Presence.GONE if is_gone else Presence.UNKNOWN


def add_overlay(directory: Path, entry: str, overlay: Path, now: datetime) -> None:
    """Add `overlay` to the entry's list, before the disk is made; drop those that are certainly gone.

    Raises CacheUnusable, DiskUnreadable; DiskRefused if the directory of `overlay` cannot be marked.
    """
    overlay = overlay.absolute()
    try:
        mark = mark_directory(overlay.parent)
    except OSError as error:
        raise DiskRefused(str(overlay), f"its directory cannot be marked: {explain(error)}") from error
    try:
        _rewrite(directory, entry, ListedOverlay(overlay, mark), now)
    except OSError as error:
        raise CacheUnusable(str(directory), explain(error)) from error


def _rewrite(directory: Path, entry: str, overlay: ListedOverlay, now: datetime) -> None:
    path = directory / overlays_name(entry)
    known = (_marked(listed) for listed in _read(path) if listed.path != overlay.path)
    kept = [listed for listed in known if listed.presence() is not Presence.GONE]
    lines = [json.dumps({"path": str(each.path), "directory": each.directory}) for each in [*kept, overlay]]
    staging = Staging(directory, entry)
    try:
        with staging.alive():
            draft = staging.path("overlays")
            create_file(draft, ("\n".join(lines) + "\n").encode())
            publish(draft, path, now)
    finally:
        staging.discard()


def _marked(listed: ListedOverlay) -> ListedOverlay:
    """Return it with its directory's mark, if an older release listed it and the disk is there."""
    if listed.directory is None and listed.presence() is Presence.THERE:
        with suppress(OSError):
            return replace(listed, directory=mark_directory(listed.path.parent))
    return listed


def remove_overlays(directory: Path, entry: str) -> None:
    """Remove the entry's list, with the entry. Raises OSError."""
    (directory / overlays_name(entry)).unlink(missing_ok=True)


def listed_overlays(directory: Path) -> Iterator[tuple[str, ListedOverlay]]:
    """Return all listed disks, also those that no longer exist, each with its entry's name.

    Raises OSError, DiskUnreadable.
    """
    for path in directory.iterdir():
        if path.name.endswith(_SUFFIX):
            for listed in _read(path):
                yield path.name.removesuffix(_SUFFIX), listed


def _read(path: Path) -> list[ListedOverlay]:
    try:
        return [_parse(json.loads(line)) for line in path.read_text().splitlines() if line.strip()]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise DiskUnreadable(
            str(path),
            "this list of the disks on the image is damaged; write the path of each disk into it, as a JSON string "
            "on a separate line: a disk that is not listed loses its base when the image expires",
        ) from error


def _parse(line: object) -> ListedOverlay:
    if isinstance(line, str):
        return ListedOverlay(Path(line), None)
    if not isinstance(line, dict) or not isinstance(line["path"], str):
        raise TypeError("neither a path nor an object with one")
    directory = line.get("directory")
    return ListedOverlay(Path(line["path"]), directory if isinstance(directory, str) else None)
