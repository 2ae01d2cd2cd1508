"""The database of a process, as its configuration names it."""

from __future__ import annotations

import shlex

from precache.adapters.sql import Database, Limits, check_schema, open_database
from precache.config.load import Config


def configured_database(config: Config, limits: Limits | None = None) -> Database:
    """Return the database that the configuration names; nothing is connected yet. Raises InvalidConfiguration."""
    return open_database(config.database.require_connection(), limits=limits)


def current_database(config: Config, limits: Limits | None = None) -> Database:
    """Return the database once it is known to have this release's tables.

    limits: those for a caller who waits; by default those for work in the background.

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
    """Return the command that works on the very database that this configuration names."""
    files = config.oslo.default_config_files or []
    return " ".join(["precache db upgrade", *(f"--config-file {shlex.quote(str(file))}" for file in files)])
