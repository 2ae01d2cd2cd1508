"""The place where one entry is put together before it gets its name, and who does it.

A staging is made by `ImageCache` for one filling of one entry, under that entry's lock; it belongs to one thread.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from precache.core.images import ImageId
from precache.imagecache.names import entry_of_temporary, temporary_name
from precache.ports.progress import Watcher

_TOKEN_BYTES = 4


def _new_token() -> str:
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
    token: str = field(default_factory=_new_token)

    def path(self, kind: str) -> Path:
        """Give the path for one temporary file, such as kind `download`; equal kinds give equal paths."""
        return self.directory / temporary_name(self.entry, self.token, kind)

    def discard(self) -> None:
        """Remove every temporary file of this entry, also what an earlier, dead filler left; harmless if none."""
        for path in self.directory.iterdir():
            if entry_of_temporary(path.name) == self.entry:
                path.unlink(missing_ok=True)


class EntryFetcher(Protocol):
    """Brings an image to the host. Called from several threads at once, for different images."""

    def fetch(self, image: ImageId, staging: Staging, watch: Watcher) -> Path:
        """Make a complete, verified file of `staging` and give its path; blocks for as long as that takes.

        Raises an error of core/errors.py; whatever it leaves in `staging` is discarded by the caller.
        """
        ...
