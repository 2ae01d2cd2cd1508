"""Cleans up after a killed test run: ends the servers that it started, removes the directories that it created.

The run starts this file as a process of its own at its first server, and tells it of each server and directory. The
end of the run, however it comes, is the end of that pipe. Standard library only, for it starts without any other.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

REMOVAL_PATIENCE_S = 10
END_PATIENCE_S = 20
POLL_INTERVAL_S = 0.05


class Guardian:
    """The other process, as the test run sees it; `guard` before there is something to lose, `forget` after it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            env={},  # it is nothing to be measured
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is not for it
        )

    def guard_session(self, pid: int) -> None:
        """Kill the session that this process leads, if it is still there when the test run is not."""
        self._tell(f"+session {pid}")

    def forget_session(self, pid: int) -> None:
        """Stop guarding the session: its number may soon belong to another process."""
        self._tell(f"-session {pid}")

    def guard_directory(self, path: Path) -> None:
        """Remove the directory, if it is still there when the test run is not."""
        self._tell(f"+directory {path}")

    def close(self) -> None:
        """Have it do what is left to do, and end."""
        self._process.communicate(timeout=END_PATIENCE_S)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), f"{line}\n".encode())  # in one piece, whichever thread it is


@functools.cache
def guardian() -> Guardian:
    """Return the guardian of this test run, or of this worker of one."""
    started = Guardian()
    atexit.register(started.close)
    return started


def _clear_up_after(lines: Iterable[str]) -> None:
    """Read until the end what there is to guard, then clear up what is left of it."""
    left: dict[str, None] = {}
    for line in lines:
        sign, thing = line[0], line[1:].rstrip("\n")
        if sign == "+":
            left[thing] = None
        else:
            left.pop(thing, None)
    things = [thing.split(" ", 1) for thing in left]
    for session in (int(value) for kind, value in things if kind == "session"):
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
    for directory in (value for kind, value in things if kind == "directory"):
        _remove(Path(directory))


def _remove(directory: Path) -> None:
    # A process that was just killed may still write into it.
    deadline = time.monotonic() + REMOVAL_PATIENCE_S
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(POLL_INTERVAL_S)


if __name__ == "__main__":
    _clear_up_after(sys.stdin)
