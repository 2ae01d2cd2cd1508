"""TLS to database servers: options of the URL that mean less than they seem to are refused, and so are files that
cannot be used; what the drivers say of a failure is put into words."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from sqlalchemy import URL

from precache.core.errors import DatabaseUrlRefused

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CHECKING = ("require", "verify-ca", "verify-full")
_PYMYSQL_OPTIONS = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
_PYMYSQL_FILES = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key")
_SYSTEM = "system"  # libpq's name for the authorities of the system

_NOT_FOR = re.compile(r"certificate is not valid for '([^']+)'|certificate .* does not match host name \"([^\"]+)\"")
_DISTRUST = re.compile(r"(certificate verify failed(?:: [^(]*)?|\w+ signature failure|alert [\w ]*certificate[\w ]*)")
_FAILURES = (
    ("certificate has expired", "its certificate has expired; renew it on the server"),
    ("certificate is not yet valid", "its certificate is not valid yet; correct the clock of this machine"),
    ("SSL is required but", "the server has no TLS, which [database] connection demands; turn it on there"),
    ("does not support SSL", "the server has no TLS, which [database] connection demands; turn it on there"),
)


def check_tls(url: URL) -> None:
    """Raise DatabaseUrlRefused if the options for TLS cannot be meant."""
    if url.get_backend_name() == "postgresql":
        _check_postgresql(url)
    elif url.get_backend_name() == "mysql":
        _check_mariadb(url)


def tls_cause(text: str) -> str | None:
    """Return, for a driver's words, what is wrong with TLS and does not mend itself; None for all else."""
    for sign, words in _FAILURES:
        if sign in text:
            return words
    if found := _NOT_FOR.search(text):
        return (
            f"its certificate is not valid for {found[1] or found[2]}; correct the host in [database] connection, "
            "or the certificate"
        )
    if found := _DISTRUST.search(text):
        return (
            f"its certificate is not accepted ({found[1].strip()}); see that it has not expired, and that "
            "[database] connection names the authority that signed it (ssl_ca; for PostgreSQL sslrootcert)"
        )
    return None


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
