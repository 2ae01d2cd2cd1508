"""The embedded service, `precache serve all`: its configuration and its state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from precache.config.load import Config
from precache.doctor.database import check_database
from precache.doctor.directories import is_writable, user_name
from precache.doctor.findings import Finding, failed, ok, skipped
from precache.wiring.state_dir import StateDir


def embedded(config: Config, state_dir: Path | None) -> Config:
    """Return the configuration of the embedded service: database and caches are in its state directory."""
    if state_dir is None:
        return config
    state = StateDir(state_dir)
    return replace(
        config,
        database=replace(config.database, connection=state.database_url),
        host=replace(config.host, instances_path=state.root),
    )


def check_state_dir(config: Config) -> Iterator[Finding]:
    """Check that the directory can be used, and whether a process uses it."""
    if (path := _state_dir(config)) is None:
        yield skipped("give --state-dir to have the directory of the embedded service checked")
    elif not path.exists():
        yield ok(f"{path} will be made at the first start")
    elif not path.is_dir():
        yield failed(f"{path} is not a directory", "choose another --state-dir")
    elif not is_writable(path):
        owner = user_name(path.stat().st_uid)
        yield failed(
            f"{path} belongs to {owner} and cannot be written by {user_name(os.geteuid())}", f"run it as {owner}"
        )
    else:
        yield ok(f"{path} can be written; {'a process uses it now' if _is_in_use(path) else 'no process uses it now'}")


def check_embedded_database(config: Config) -> Iterator[Finding]:
    """Check the tables, if the service was started before; it makes and upgrades them itself."""
    path = _state_dir(config)
    if path is None:
        yield skipped("it is in the directory of the embedded service, see --state-dir")
    elif not (path / "precache.sqlite").exists():
        yield ok("it will be made at the first start")
    else:
        yield from check_database(config)


def _state_dir(config: Config) -> Path | None:
    connection = config.database.connection or ""
    return Path(connection.removeprefix("sqlite:///")).parent if connection.endswith("/precache.sqlite") else None


def _is_in_use(path: Path) -> bool:
    try:
        with (path / "lock").open("a") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
