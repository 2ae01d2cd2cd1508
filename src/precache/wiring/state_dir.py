"""The state directory of the embedded service: its paths, and a lock for one process at a time."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from precache.core.errors import StateDirUnusable


class StateDir:
    """Paths below one directory. `take` locks it for this process until the process ends."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._held: TextIO | None = None

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.root / 'precache.sqlite'}"

    @property
    def image_index(self) -> Path:
        return self.root / "image-index.json"

    @property
    def image_request_log(self) -> Path:
        return self.root / "image-requests.log"

    @property
    def default_images(self) -> Path:
        return self.root / "images"

    @property
    def log_file(self) -> Path:
        return self.root / "precache.log"

    def instances_path(self, host: str) -> Path:
        return self.root / "hosts" / host / "instances"

    def take(self) -> None:
        """Create the directory and lock it. Raises StateDirUnusable if it is not writable or in use."""
        if self._held is not None:
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._held = (self.root / "lock").open("a")
            fcntl.lockf(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateDirUnusable(
                str(self.root), "another precache uses it; stop that one or choose another --state-dir"
            ) from error
        except OSError as error:
            raise StateDirUnusable(str(self.root), f"{error.strerror}; choose another --state-dir") from error

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
