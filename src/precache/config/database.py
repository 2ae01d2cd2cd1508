"""[database]: the database of jobs, hosts, aggregates and cells, and the keys for the secrets in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration

OPTIONS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="URL of the database, such as mysql+pymysql://precache:PASSWORD@db/precache or "
        "postgresql+psycopg://precache:PASSWORD@db/precache. The default of the embedded service is an SQLite "
        "file in its state directory.",
    ),
    cfg.ListOpt(
        "encryption_keys",
        default=[],
        secret=True,
        help="Keys for the secrets in the database (transport URLs of cells, the key that signs for hosts of swarms), "
        "as `precache config key` prints them; the first one encrypts, all of them decrypt, so put a new key first. "
        "Every conductor needs the same keys.",
    ),
]


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The database and its keys. Both are secrets, so `repr` omits them."""

    connection: str | None = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)

    def require_connection(self) -> str:
        """Return the URL. Raises InvalidConfiguration if it is not set."""
        if self.connection is None:
            raise InvalidConfiguration(
                "[database] connection is not set; give the URL of the database, such as "
                "mysql+pymysql://precache:PASSWORD@db/precache"
            )
        return self.connection


GROUP = OptionGroup(
    "database",
    "The database of jobs, hosts, aggregates and cells.",
    OPTIONS,
    partial(settings_of, DatabaseSettings),
)
