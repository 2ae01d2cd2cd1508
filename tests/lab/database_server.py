"""What the database servers for tests have in common: a process on loopback, with databases that tests make up.

Run by root, the server drops to its package's own user. Nothing is flushed to the disk: what was committed outlives
the server, though not the machine. Each worker of a parallel test run starts servers of its own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precache.adapters.sql import open_database, upgrade
from precache.adapters.sql.tables import metadata

USER, PASSWORD = "precache", "hush-hush"  # tests look for this password where it must not be
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


class DatabaseServerFailed(Exception):
    """It did not start or stop; the text has the end of its log."""


class DatabaseServer(ABC):
    """One server, from `start` to `close`; in between it may be stopped and started on the same data and port.

    directory: empty, ours alone, and one that every user may enter.
    """

    account: str
    """The system's user that the server runs as when root starts it."""

    scheme: str
    """Of the URLs."""

    sleep: str
    """The function that takes so many seconds."""

    commit: bytes
    """What goes over the line for a COMMIT, and for nothing else."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._migrated: str | None = None
        owner = self._unprivileged()
        if owner:
            os.chown(directory, owner["user"], owner["group"])

    def url(self, database: str) -> str:
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def fresh_url(self) -> str:
        """Give the URL of a new database without a table in it."""
        database = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {database}")
        return self.url(database)

    def empty_url(self) -> str:
        """Give the URL of the one database with this release's tables, emptied.

        For one test after the other: to migrate a database takes some twenty times as long as to empty it.
        """
        if self._migrated is None:
            url = self.fresh_url()
            database = open_database(url)
            upgrade(database)
            database.close()
            self._migrated = url.rpartition("/")[2]
        else:
            names = [table.name for table in reversed(metadata.sorted_tables)]
            self.execute(*(f"DELETE FROM {name}" for name in names), database=self._migrated)
        return self.url(self._migrated)

    def start(self) -> None:
        """Have it running and ready for connections."""
        if self._server is not None:
            return
        if not any(self.directory.iterdir()):
            self.install()
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._unprivileged(),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise DatabaseServerFailed(f"{self.account} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as an administrator would; open connections are cut."""
        self._end(signal.SIGINT if self.account == "postgres" else signal.SIGTERM)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def restart(self, after_s: float = 0) -> None:
        """Stop it, leave it away for that long, and have it running again."""
        self.stop()
        time.sleep(after_s)
        self.start()

    def close(self) -> None:
        """End it for good."""
        self._end(signal.SIGKILL)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Have it alive and silent: connections open, and nothing comes back."""
        assert self._server is not None
        family = _family(self._server.pid)
        _signal(family, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(family, signal.SIGCONT)

    @abstractmethod
    def install(self) -> None:
        """Make the data directory."""

    @abstractmethod
    def command(self) -> list[str]:
        """Give what runs the server in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool: ...

    @abstractmethod
    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run the statements as the administrator, each a transaction of its own."""

    def run(self, *command: str) -> None:
        """Run one of the server's tools to its end."""
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, check=False, **self._unprivileged()
        )
        if done.returncode != 0:
            raise DatabaseServerFailed(f"{command[0]} failed: {done.stdout}{done.stderr}")

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _end(self, number: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None or server.poll() is not None:
            return
        family = _family(server.pid)
        _signal(family if number is signal.SIGKILL else family[:1], number)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _signal(_family(server.pid), signal.SIGKILL)
            server.wait()
            raise DatabaseServerFailed(f"{self.account} did not stop and was killed") from None

    def _unprivileged(self) -> dict[str, Any]:
        """Give what makes a child process of root's run as the server's own user; nothing for everybody else."""
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam(self.account)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def running(kind: type[DatabaseServer]) -> Iterator[Any]:
    """Give a server that runs, in a directory of its own."""
    # Not below pytest's own directory, which the server's user may not enter.
    with tempfile.TemporaryDirectory(prefix=f"{kind.account}-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        server = kind(directory)
        try:
            server.start()
            yield server
        finally:
            server.close()


def _family(pid: int) -> list[int]:
    """Give the process and its children, each of which PostgreSQL puts into a session of its own."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return [pid]
    return [pid, *map(int, children.split())]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
