"""Relays in the database."""

from precache.adapters.relays_sql.queries import SqlHostLoad, SqlRelayQueries, SqlRelayTasks
from precache.adapters.relays_sql.rates import SqlHostRates
from precache.adapters.relays_sql.store import SqlRelays

__all__ = ["SqlHostLoad", "SqlHostRates", "SqlRelayQueries", "SqlRelayTasks", "SqlRelays"]
