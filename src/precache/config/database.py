"""[database]: where jobs, hosts, aggregates and cells are kept, and the keys for the secrets among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup
from precache.core.errors import InvalidConfiguration

OPTIONS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="URL of the database, such as mysql+pymysql://precache:PASSWORD@db/precache or "
        "postgresql+psycopg://precache:PASSWORD@db/precache. The embedded service keeps an SQLite file of its own "
        "unless this is set.",
    ),
    cfg.ListOpt(
        "encryption_keys",
        default=[],
        secret=True,
        help="Keys for the secrets in the database (transport URLs of cells), as `precache config key` prints them; "
        "the first encrypts, all decrypt, so a new key goes in front. Every conductor needs the same ones.",
    ),
]


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """connection and encryption_keys are secrets, which no representation shows."""

    connection: str | None = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)

    def require_connection(self) -> str:
        """Return the URL. Raises InvalidConfiguration where there is none."""
        if self.connection is None:
            raise InvalidConfiguration(
                "[database] connection is not set; give the URL of the database, such as "
                "mysql+pymysql://precache:PASSWORD@db/precache"
            )
        return self.connection


def _parse(values: Any) -> DatabaseSettings:
    return DatabaseSettings(connection=values.connection or None, encryption_keys=tuple(values.encryption_keys))


GROUP = OptionGroup("database", "Where jobs, hosts, aggregates and cells are kept.", OPTIONS, _parse)
