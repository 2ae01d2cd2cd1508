"""Database URLs as operators have them, among them those of Nova's configuration, made into ones that work here."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from precache.core.errors import DatabaseUrlRefused

FORM = "dialect+driver://user:password@host/database"

_DIALECTS = {
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
"""What a URL means that names no driver."""


def parse_url(url: str) -> URL:
    """Return the URL with a driver that we bring along. Raises DatabaseUrlRefused, which never quotes the URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        # The library's message quotes the URL, and with it the password.
        raise DatabaseUrlRefused(f"it does not have the form {FORM}") from exc
    if parsed.get_backend_name() not in _DIALECTS:
        raise DatabaseUrlRefused(f"{parsed.get_backend_name()} is none of sqlite, postgresql, mysql and mariadb")
    if "@" in (parsed.host or "") + (parsed.database or ""):
        # Part of the password was taken for host and database, which messages name.
        raise DatabaseUrlRefused("its password has an @ in it; write %40 for it there")
    parsed = parsed.set(drivername=_DIALECTS.get(parsed.drivername, parsed.drivername))
    if parsed.get_backend_name() != "sqlite" and not parsed.database:
        raise DatabaseUrlRefused(f"it names no database; the form is {FORM}")
    # A plugin of SQLAlchemy that another program counts its statements with.
    parsed = parsed.difference_update_query(["plugin"])
    if parsed.get_backend_name() in ("mysql", "mariadb"):
        # Nova's URLs say utf8, which to MariaDB means a set in which not every character can be written.
        parsed = parsed.difference_update_query(["charset", "use_unicode"]).update_query_dict({"charset": "utf8mb4"})
    return parsed


def missing_driver(url: URL, error: Exception) -> DatabaseUrlRefused:
    """Return which driver is missing and what brings it, or which to write in its place."""
    if not isinstance(error, ImportError):
        return DatabaseUrlRefused(f"there is no {url.drivername}; write {_DIALECTS[url.get_backend_name()]}://")
    extras = {"mysql+pymysql": "mariadb", "postgresql+psycopg": "postgresql"}
    if url.drivername in extras:
        return DatabaseUrlRefused(f"{error}; run: pip install 'precache[{extras[url.drivername]}]'")
    return DatabaseUrlRefused(f"{error}; install that driver, or write {_DIALECTS[url.get_backend_name()]}://")
