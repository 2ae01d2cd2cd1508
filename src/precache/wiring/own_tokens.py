"""What servers need for callers with the service's own tokens: the tokens, and TLS to receive them by."""

from __future__ import annotations

from precache.adapters.clock_system import SystemClock
from precache.adapters.identity_tokens import KnownTokens
from precache.adapters.sql import Database
from precache.adapters.tokens_sql import SqlTokens
from precache.config.load import Config
from precache.wiring.http.tls import ServerTls


def known_tokens(database: Database) -> KnownTokens:
    """Return the tokens of this database, of which nothing is read before the first request."""
    return KnownTokens(store=SqlTokens(database=database), clock=SystemClock())


def server_tls(config: Config) -> ServerTls | None:
    """Return what a server answers with by [api] cert_file and key_file, None for plain HTTP.

    Raises InvalidConfiguration.
    """
    if config.api.tls_files is None:
        return None
    cert_file, key_file = config.api.tls_files
    return ServerTls(cert_file=cert_file, key_file=key_file)
