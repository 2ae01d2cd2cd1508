"""Relays in the database."""

from precache.adapters.relays_sql.queries import SqlRelayQueries, SqlRelayTasks
from precache.adapters.relays_sql.store import SqlRelays

__all__ = ["SqlRelayQueries", "SqlRelayTasks", "SqlRelays"]
