"""The place where one entry is put together before it gets its name, and who does it.

A staging is made by `ImageCache` for one filling of one entry, under that entry's lock; it belongs to one thread.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from precache.core.images import ImageId
from precache.imagecache.names import temporary_name
from precache.ports.progress import Watcher

_TOKEN_BYTES = 4


def new_token() -> str:
    """Give a short word that no other filling, in any process, has."""
    return secrets.token_hex(_TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Staging:
    """Temporary files of one filling of one entry, on the file system of the cache.

    directory: the cache. entry: the name that the result will get.
    token: makes the names of this filling its own. Nova's cleaner unlinks lock files after letting go of them,
    so for a moment two fillers can each believe they hold the lock; they must not write into one file.
    """

    directory: Path
    entry: str
    token: str = field(default_factory=new_token)

    def path(self, kind: str) -> Path:
        """Give the path for one temporary file, such as kind `download`; equal kinds give equal paths."""
        return self.directory / temporary_name(self.entry, self.token, kind)

    def discard(self) -> None:
        """Remove every temporary file of this filling; harmless if there is none."""
        mine = temporary_name(self.entry, self.token, "")
        for path in self.directory.iterdir():
            if path.name.startswith(mine):
                path.unlink(missing_ok=True)


class EntryFetcher(Protocol):
    """Brings an image to the host. Called from several threads at once, for different images."""

    def fetch(self, image: ImageId, staging: Staging, watch: Watcher) -> Path:
        """Make a complete, verified file of `staging` and give its path; blocks for as long as that takes.

        Raises an error of core/errors; whatever it leaves in `staging` is discarded by the caller.
        """
        ...
