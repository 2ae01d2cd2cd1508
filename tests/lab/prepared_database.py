"""A service's SQLite database, migrated once for a set of installed versions and copied for every start."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.lab.venvs import Venv


def copy_prepared(name: str, venv: Venv, target: Path, make: Callable[[], None]) -> None:
    """Put a copy of the database at `target`, where `make` makes it if these versions have none yet."""
    venv.check()
    versions = hashlib.sha256(venv.constraints.read_bytes()).hexdigest()[:12]
    folder = venv.path.parent
    prepared = folder / f"{name}-{versions}.sqlite"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not prepared.exists():
            make()
            shutil.copy(target, scratch := prepared.with_suffix(".part"))
            scratch.rename(prepared)
    shutil.copy(prepared, target)


def database_options(path: Path) -> dict[str, object]:
    """Return the options of a service's database; nothing is flushed to the disk: it need not outlive the machine."""
    return {"connection": f"sqlite:///{path}", "sqlite_synchronous": "false"}
