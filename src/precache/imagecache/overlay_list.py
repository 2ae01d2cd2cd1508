"""Which disks we made on an entry, for those that are outside of the instances directory.

One file beside each entry, `<entry>.overlays`, a JSON text with a path on each line; Nova ignores it. It is changed
only under the entry's lock and goes away with the entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from precache.core.errors import CacheUnusable, DiskUnreadable
from precache.imagecache.names import overlays_name
from precache.imagecache.os_errors import explain
from precache.imagecache.publish import publish
from precache.imagecache.staging import Staging

_ANY = overlays_name("*")


def note_overlay(directory: Path, entry: str, overlay: Path, now: datetime) -> None:
    """Remember, before it is made, that `overlay` stands on the entry; forget those that are gone.

    Raises CacheUnusable, DiskUnreadable.
    """
    try:
        _rewrite(directory, entry, overlay, now)
    except OSError as error:
        raise CacheUnusable(str(directory), explain(error)) from error


def _rewrite(directory: Path, entry: str, overlay: Path, now: datetime) -> None:
    path = directory / overlays_name(entry)
    known = [listed for listed in _read(path) if listed.exists()]
    lines = [json.dumps(str(listed)) for listed in dict.fromkeys([*known, overlay.absolute()])]
    staging = Staging(directory, entry)
    try:
        draft = staging.path("overlays")
        draft.write_text("\n".join(lines) + "\n")
        publish(draft, path, now)
    finally:
        staging.discard()


def forget_overlays(directory: Path, entry: str) -> None:
    """Remove the entry's list, with the entry. Raises OSError."""
    (directory / overlays_name(entry)).unlink(missing_ok=True)


def listed_overlays(directory: Path) -> Iterator[Path]:
    """Give all disks that are listed for any entry, also those that no longer exist. Raises OSError, DiskUnreadable."""
    for path in directory.glob(_ANY):
        yield from _read(path)


def _read(path: Path) -> list[Path]:
    try:
        return [Path(json.loads(line)) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise DiskUnreadable(
            str(path),
            "this list of the disks that stand on the image is damaged; write the path of each of them into it, as "
            "a JSON string on a line of its own: a disk that is not listed loses its base when the image expires",
        ) from error
