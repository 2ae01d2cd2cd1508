"""The database of a process, from its configuration."""

from __future__ import annotations

import shlex

from precache.adapters.sql import Database, Limits, check_schema, open_database
from precache.config.load import Config


def configured_database(config: Config, limits: Limits | None = None) -> Database:
    """Return the configured database without connecting to it. Raises InvalidConfiguration."""
    return open_database(config.database.require_connection(), limits=limits)


def current_database(config: Config, limits: Limits | None = None) -> Database:
    """Return the database after checking that it has this release's tables.

    limits: those for a client that waits; by default those for background work.

    Raises SchemaOutdated and SchemaTooNew, which name the command to run, StoreUnavailable, InvalidConfiguration.
    """
    database = configured_database(config, limits)
    try:
        check_schema(database, upgrade_command=upgrade_command(config))
    except BaseException:
        database.close()
        raise
    return database


def upgrade_command(config: Config) -> str:
    """Return the command that upgrades the database of this configuration."""
    files = config.oslo.default_config_files or []
    return " ".join(["precache db upgrade", *(f"--config-file {shlex.quote(str(file))}" for file in files)])
