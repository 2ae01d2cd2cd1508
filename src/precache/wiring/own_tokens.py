"""Authentication by the service's own tokens, in front of an application."""

from __future__ import annotations

from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.identity_tokens import KnownTokens, identified_by_token
from precache.adapters.sql import Database
from precache.adapters.tokens_sql import SqlTokens


def behind_tokens(app: Any, database: Database) -> Any:
    """Return the application, protected by the tokens of this database. The first request reads the database."""
    return identified_by_token(app, KnownTokens(store=SqlTokens(database=database), clock=SystemClock()))
