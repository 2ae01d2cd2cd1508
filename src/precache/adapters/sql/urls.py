"""Translates database URLs of operators, also those of Nova's configuration, to URLs that work here.

TLS options that protect less than they seem to are refused, and so are unusable files."""

from __future__ import annotations

import ssl
from pathlib import Path

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
"""The driver for a URL that names none."""


_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CHECKING = ("require", "verify-ca", "verify-full")
_PYMYSQL_OPTIONS = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
_PYMYSQL_FILES = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key")
_SYSTEM = "system"  # libpq's name for the system's certificate authorities


def parse_url(url: str) -> URL:
    """Return the URL with a driver that Precache depends on. Raises DatabaseUrlRefused, which never quotes the URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        # The library's message quotes the URL, and with it the password.
        raise DatabaseUrlRefused(f"it does not have the form {FORM}") from exc
    if parsed.get_backend_name() not in _DIALECTS:
        raise DatabaseUrlRefused(f"{parsed.get_backend_name()} is none of sqlite, postgresql, mysql and mariadb")
    if "@" in (parsed.host or "") + (parsed.database or ""):
        # A part of the password was read as host and database, which messages quote.
        raise DatabaseUrlRefused("its password has an @ in it; write %40 for it there")
    parsed = parsed.set(drivername=_DIALECTS.get(parsed.drivername, parsed.drivername))
    if parsed.get_backend_name() != "sqlite" and not parsed.database:
        raise DatabaseUrlRefused(f"it names no database; the form is {FORM}")
    # A plugin of SQLAlchemy with which another program counts its statements.
    parsed = parsed.difference_update_query(["plugin"])
    if parsed.get_backend_name() in ("mysql", "mariadb"):
        # Nova's URLs say utf8; in MariaDB that character set lacks many characters.
        parsed = parsed.difference_update_query(["charset", "use_unicode"]).update_query_dict({"charset": "utf8mb4"})
    return parsed


def check_tls(url: URL) -> None:
    """Raise DatabaseUrlRefused if the TLS options are not sensible."""
    if url.get_backend_name() == "postgresql":
        _check_postgresql(url)
    elif url.get_backend_name() == "mysql":
        _check_mariadb(url)


def missing_driver(url: URL, error: Exception) -> DatabaseUrlRefused:
    """Return the missing driver and how to install it, or which driver to write instead."""
    if not isinstance(error, ImportError):
        return DatabaseUrlRefused(f"there is no {url.drivername}; write {_DIALECTS[url.get_backend_name()]}://")
    extras = {"mysql+pymysql": "mariadb", "postgresql+psycopg": "postgresql"}
    if url.drivername in extras:
        return DatabaseUrlRefused(f"{error}; run: pip install 'precache[{extras[url.drivername]}]'")
    return DatabaseUrlRefused(f"{error}; install that driver, or write {_DIALECTS[url.get_backend_name()]}://")


def _check_postgresql(url: URL) -> None:
    mode = _option(url, "sslmode")
    if mode is not None and mode not in _MODES:
        raise DatabaseUrlRefused(f"its sslmode is none of {', '.join(_MODES)}")
    if "sslrootcert" in url.query and mode not in _CHECKING:
        # The driver continues without TLS if it does not accept the certificate.
        raise DatabaseUrlRefused("sslrootcert alone protects nothing; add sslmode=verify-full")
    _check_files(url, "sslrootcert", "sslcert", "sslkey")


def _check_mariadb(url: URL) -> None:
    if "ssl" in url.query:
        raise DatabaseUrlRefused("ssl is no option of a URL; write ssl_ca=FILE, with the authorities to believe")
    for name in _PYMYSQL_OPTIONS:
        # In a URL every value of these options is a text, which counts as true; and the first option makes the driver
        # ignore the others.
        if name in url.query and url.drivername == "mysql+pymysql" and any(key in url.query for key in _PYMYSQL_FILES):
            raise DatabaseUrlRefused(
                f"{name} has the driver forget ssl_ca; leave it out: with ssl_ca alone certificate and name are checked"
            )
    _check_files(url, "ssl_ca", "ssl_cert", "ssl_key")


def _option(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if value is None or isinstance(value, str) else value[-1]


def _check_files(url: URL, authorities: str, *others: str) -> None:
    for name in (authorities, *others):
        file = _option(url, name)
        if file is None or file == _SYSTEM:
            continue
        try:
            if name == authorities:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
            else:
                Path(file).open("rb").close()
        except ssl.SSLError:
            raise DatabaseUrlRefused(f"{name} {file} holds no certificate; it is to be a PEM file") from None
        except OSError as exc:
            raise DatabaseUrlRefused(f"{name} {file} cannot be read: {exc.strerror}") from None
