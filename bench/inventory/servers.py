"""The database servers, and how many statements they have received."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from bench.dispatch.cloud import Cloud, Statements
from tests.lab.database_server import DatabaseServer
from tests.lab.mariadb import Mariadb
from tests.lab.postgresql import Postgresql

_OWN = "%host_caches.sequence >=%"  # what the benchmark itself asks, see `stored`


class CountingPostgresql(Postgresql):
    """Counts statements, and keeps its statistics up to date as a server of an operator does."""

    def command(self) -> list[str]:
        given = [word for word in super().command() if not word.startswith("--autovacuum")]
        return [*given, "--shared_preload_libraries=pg_stat_statements", "--shared_buffers=128MB"]


SERVERS: dict[str, type[DatabaseServer]] = {"MariaDB": Mariadb, "PostgreSQL": CountingPostgresql}


@contextmanager
def counted(deployed: Cloud) -> Iterator[Statements]:
    """Count the statements that the server receives meanwhile from the service."""
    if deployed.database.engine.dialect.name != "postgresql":
        with deployed.statements() as statements:
            yield statements
        return
    statements = Statements()
    with deployed.database.engine.connect() as watcher:
        watcher.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
        watcher.commit()
        before = _calls(watcher)
        yield statements
        statements.count = _calls(watcher) - before


def _calls(watcher: Connection) -> int:
    statement = text("SELECT COALESCE(SUM(calls), 0) FROM pg_stat_statements WHERE query NOT LIKE :own")
    found = int(watcher.execute(statement, {"own": _OWN}).scalar_one())
    watcher.rollback()
    return found
