"""TLS to database servers: options of the URL that mean less than they seem to are refused, and so are files that
cannot be used; what the drivers say of a failure is put into words."""

from __future__ import annotations

import ssl
from pathlib import Path

from sqlalchemy import URL

from precache.core.certificates import TlsNames, explain_certificate
from precache.core.errors import DatabaseUrlRefused

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CHECKING = ("require", "verify-ca", "verify-full")
_PYMYSQL_OPTIONS = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
_PYMYSQL_FILES = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key")
_SYSTEM = "system"  # libpq's name for the authorities of the system

_NO_TLS = ("SSL is required but", "does not support SSL")
_NAMES = TlsNames(
    cafile="[database] connection (ssl_ca; for PostgreSQL sslrootcert)",
    own="[database] connection (ssl_cert and ssl_key; for PostgreSQL sslcert and sslkey)",
    address="[database] connection",
)


def check_tls(url: URL) -> None:
    """Raise DatabaseUrlRefused if the options for TLS cannot be meant."""
    if url.get_backend_name() == "postgresql":
        _check_postgresql(url)
    elif url.get_backend_name() == "mysql":
        _check_mariadb(url)


def tls_cause(text: str) -> str | None:
    """Return what a driver's text says of TLS, if waiting does not help; else None."""
    if any(sign in text for sign in _NO_TLS):
        return "the server has no TLS, which [database] connection demands; turn it on there"
    return explain_certificate(text, _NAMES)


def _check_postgresql(url: URL) -> None:
    mode = _option(url, "sslmode")
    if mode is not None and mode not in _MODES:
        raise DatabaseUrlRefused(f"its sslmode is none of {', '.join(_MODES)}")
    if "sslrootcert" in url.query and mode not in _CHECKING:
        # The driver goes on without TLS if the certificate is not to its liking.
        raise DatabaseUrlRefused("sslrootcert alone protects nothing; add sslmode=verify-full")
    _check_files(url, "sslrootcert", "sslcert", "sslkey")


def _check_mariadb(url: URL) -> None:
    if "ssl" in url.query:
        raise DatabaseUrlRefused("ssl is no option of a URL; write ssl_ca=FILE, with the authorities to believe")
    for name in _PYMYSQL_OPTIONS:
        # In a URL every value of theirs is a text, which is true, and the first of them has the others forgotten.
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
