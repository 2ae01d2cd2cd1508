"""TLS to brokers: checks of the options before anything is sent, and what oslo.messaging does not check.

The options are those of the transport URL, then those of [oslo_messaging_rabbit].
"""

from __future__ import annotations

import ssl
from typing import Any

import oslo_messaging.opts
from oslo_config import cfg

from precache.core.errors import InvalidConfiguration

_GROUP = "oslo_messaging_rabbit"
_NAME_CHECK = "ssl_enforce_hostname_verification"
_VERSIONS = ("TLSv1", "TLSv1_1", "TLSv1_2", "SSLv23")


def uses_tls(conf: cfg.ConfigOpts, url: Any) -> bool:
    return bool(_value(conf, url, "ssl"))


def check_tls(conf: cfg.ConfigOpts, url: Any, place: str) -> None:
    """Check the files and the version. Raises InvalidConfiguration; the library would fail only when it connects, and
    would not name the file."""
    if not uses_tls(conf, url):
        return
    ca, cert, key = (_value(conf, url, name) for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"))
    version = _value(conf, url, "ssl_version")
    if version and version.lower() not in [known.lower() for known in _VERSIONS]:
        raise _refusal(place, f"ssl_version is none of {', '.join(_VERSIONS)}; leave it out for the best that there is")
    if key and not cert:
        raise _refusal(place, "ssl_key_file belongs to an ssl_cert_file; set it, too")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca:
            context.load_verify_locations(ca)
    except OSError as error:
        raise _refusal(place, f"ssl_ca_file {ca} {_fault(error)}") from None
    try:
        if cert:
            context.load_cert_chain(cert, key or None, password="")  # else it would prompt on the terminal for one
    except OSError as error:
        raise _refusal(place, f"ssl_cert_file {cert}, ssl_key_file {key or cert}: one {_fault(error)}") from None


def tls_weakness(conf: cfg.ConfigOpts, url: Any) -> tuple[str, str] | None:
    """Return why TLS protects less than the operator may expect, and the advice; None if the protection is complete."""
    has_authority = bool(_value(conf, url, "ssl_ca_file"))
    if not uses_tls(conf, url):
        return (
            ("TLS is not used although ssl_ca_file is set", f"set [{_GROUP}] ssl = true, and the port to that for TLS")
            if has_authority
            else None
        )
    if not has_authority:
        return (
            "the certificate may belong to any server: without ssl_ca_file the name in it is not checked",
            f"set [{_GROUP}] ssl_ca_file; Debian has all public authorities in /etc/ssl/certs/ca-certificates.crt",
        )
    if not checks_names(conf):
        return (
            "this oslo.messaging does not check the name in the certificate",
            "upgrade it: pip install 'oslo.messaging>=18.2'",
        )
    if not _value(conf, url, _NAME_CHECK):
        return ("the name in the certificate is not checked", f"remove {_NAME_CHECK}")
    return None


def check_names_by_default(conf: cfg.ConfigOpts, url: Any) -> None:
    """Enable the check of names in certificates for releases of oslo.messaging in which it is off by default."""
    if checks_names(conf) and uses_tls(conf, url):
        found = conf.get_location(_NAME_CHECK, _GROUP)
        if found is not None and found.location is cfg.Locations.opt_default:
            url.query.setdefault(_NAME_CHECK, "true")


def checks_names(conf: cfg.ConfigOpts) -> bool:
    """Return whether the installed oslo.messaging can check the name in a certificate."""
    return _NAME_CHECK in conf[_GROUP]


def _value(conf: cfg.ConfigOpts, url: Any, name: str) -> Any:
    if name in url.query:
        known = {option.dest: option for option in dict(oslo_messaging.opts.list_opts())[_GROUP]}
        return known[name].type(url.query[name])
    return conf[_GROUP][name]


def _fault(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "holds no certificate or key that can be used; it is to be a PEM file"
    return f"cannot be read: {error.strerror or error}"


def _refusal(place: str, reason: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"the message bus {place} cannot be used: [{_GROUP}] {reason}")
