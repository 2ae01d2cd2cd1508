"""MariaDB for tests: a real server on loopback, set up against us.

Its character set is not ours and its SQL mode lets a value be cut to fit: whatever we need has to be asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pymysql
import pytest

from tests.lab.certificates import Certificate
from tests.lab.database_server import PASSWORD, USER, DatabaseServer, running

# Debian keeps the server where only root's PATH looks.
SERVER = shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/usr/local/bin") or "mariadbd"
INSTALL = "mariadb-install-db"

_FIRST_STATEMENTS = f"""\
CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO {USER}@'127.0.0.1';
"""


class Mariadb(DatabaseServer):
    """One MariaDB."""

    name = "MariaDB"
    account = "mysql"
    scheme = "mysql+pymysql"
    sleep = "SLEEP"
    commit = b"\x03COMMIT"
    _tls: Sequence[str] = ()

    def install(self) -> None:
        # InnoDB's log and its first table space, small: making them is what takes the time.
        self.run(INSTALL, "--no-defaults", f"--datadir={self._data}", "--skip-test-db", "--skip-name-resolve", *_SMALL)
        (self.directory / "first.sql").write_text(_FIRST_STATEMENTS)

    def command(self) -> list[str]:
        return [
            SERVER,
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self.directory}/server.sock",
            f"--pid-file={self.directory}/server.pid",
            f"--init-file={self.directory}/first.sql",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--max-connections=200",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--character-set-server=latin1",
            "--sql-mode=",
            *_SMALL,
            *self._tls,
        ]

    def use_certificate(self, certificate: Certificate | None) -> None:
        self._tls = [f"--ssl-cert={certificate.cert}", f"--ssl-key={certificate.key}"] if certificate else []
        self.stop()
        self.start()

    def is_ready(self) -> bool:
        try:
            self._connect().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def execute(self, *statements: str, database: str | None = None) -> None:
        connection = self._connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def _connect(self, database: str | None = None) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database, autocommit=True
        )

    @property
    def _data(self) -> Path:
        return self.directory / "data"


_SMALL = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """A server that runs; a test that stops it has to start it again."""
    with running(Mariadb) as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb: Mariadb) -> str:
    """The URL of an empty, migrated database."""
    mariadb.start()
    return mariadb.empty_url()
