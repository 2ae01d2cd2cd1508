"""The shared part of the database servers for tests: a process on loopback, with databases that tests create.

Run by root, the server drops to its package's own user. Nothing is flushed to the disk: what was committed outlives
the server, though not the machine. Each worker of a parallel test run starts servers of its own.
"""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precache.adapters.sql import open_database, upgrade
from precache.adapters.sql.tables import metadata
from tests.lab.account import directory_of, identity
from tests.lab.certificates import Certificate
from tests.lab.process import ServerFailed, ServerProcess, free_port
from tests.lab.server import Server

USER, PASSWORD = "precache", "hush-hush"  # tests look for this password where it must not be


class DatabaseServer(Server):
    """One server with its data in `directory`, which is empty, ours alone, and one that every user may enter."""

    account: str
    """The system's user that the server runs as when root starts it."""

    scheme: str
    """Of the URLs."""

    sleep: str
    """The function that takes so many seconds."""

    commit: bytes
    """What goes over the line for a COMMIT, and for nothing else."""

    @abstractmethod
    def use_certificate(self, certificate: Certificate | None) -> None:
        """Have new connections offered TLS with it, or none; a server that has to is restarted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._migrated: str | None = None

    def url(self, database: str) -> str:
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def fresh_url(self) -> str:
        """Return the URL of a new database without a table in it."""
        database = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {database}")
        return self.url(database)

    def empty_url(self) -> str:
        """Return the URL of the one database with this release's tables, emptied.

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

    def spawn(self) -> ServerProcess:
        if not any(self.directory.iterdir()):
            self.install()
        return ServerProcess(
            name=self.name,
            command=self.command(),
            environment=self._environment(),
            log=self.directory / "server.log",
            account=self.account,
        )

    @abstractmethod
    def install(self) -> None:
        """Make the data directory."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return what runs the server in the foreground."""

    @abstractmethod
    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run the statements as the administrator, each a transaction of its own."""

    def run(self, *command: str) -> None:
        """Run one of the server's tools to its end."""
        done = subprocess.run(
            command,
            env=self._environment(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            **identity(self.account),
        )
        if done.returncode != 0:
            raise ServerFailed(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def _environment(self) -> dict[str, str]:
        # The temporary directory of whoever runs the tests may be closed to the server's user.
        path = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "LANG": "C.UTF-8", "TMPDIR": str(self.directory)}


@contextlib.contextmanager
def running(kind: type[DatabaseServer]) -> Iterator[Any]:
    """Return a server that runs, in a directory of its own."""
    with directory_of(kind.account) as directory:
        server = kind(directory)
        try:
            server.start()
            yield server
        finally:
            server.close()
