"""PostgreSQL for tests: a real server on loopback."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.lab.certificates import Certificate
from tests.lab.database_server import PASSWORD, USER, DatabaseServer, running
from tests.lab.process import ServerFailed

DEBIAN = Path("/usr/lib/postgresql")


class Postgresql(DatabaseServer):
    """One PostgreSQL."""

    name = "PostgreSQL"
    account = "postgres"
    stop_signal = signal.SIGINT
    scheme = "postgresql+psycopg"
    sleep = "pg_sleep"
    commit = b"COMMIT\0"

    def install(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        self.run(
            _tool("initdb"),
            f"--pgdata={self._data}",
            f"--username={USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "max_connections": 200,
            "shared_buffers": "32MB",
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",  # what it counts while a table is empty makes it slow for the next test
        }
        return [_tool("postgres"), "-D", str(self._data), *(f"--{name}={value}" for name, value in settings.items())]

    def use_certificate(self, certificate: Certificate | None) -> None:
        if certificate is None:
            changes = ["ALTER SYSTEM RESET ssl"]
        else:
            names = {"ssl_cert_file": certificate.cert, "ssl_key_file": certificate.key, "ssl": "on"}
            changes = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in names.items()]
        loaded = self._one("SELECT pg_conf_load_time()")
        self.execute(*changes, "SELECT pg_reload_conf()")
        assert self._process is not None
        self._process.wait_until(lambda: self._one("SELECT pg_conf_load_time()") != loaded, self.start_timeout_s)

    def is_ready(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, *statements: str, database: str | None = None) -> None:
        with self._connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _one(self, query: str) -> object:
        with self._connect() as connection:
            row = connection.execute(query.encode()).fetchone()
            return None if row is None else row[0]

    def _connect(self, database: str | None = None) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=database or "postgres",
            autocommit=True,
        )

    @property
    def _data(self) -> Path:
        return self.directory / "data"


def _tool(name: str) -> str:
    """Return the newest version of a tool of the server; Debian keeps each version in a directory of its own."""
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise ServerFailed(f"no {name} below {DEBIAN}: install postgresql")
    return str(found[-1])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A server that runs; a test that stops it has to start it again."""
    with running(Postgresql) as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> str:
    """The URL of an empty, migrated database."""
    postgresql.start()
    return postgresql.empty_url()
