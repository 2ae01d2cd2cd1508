"""Explains to an operator why a broker did not accept a message; never with a user name or a password."""

from __future__ import annotations

import re
import socket

import amqp.exceptions
import kombu.exceptions
import oslo_messaging

from precache.core.certificates import TlsNames, explain_certificate

BUS_ERRORS = (
    oslo_messaging.MessagingException,
    amqp.exceptions.AMQPError,
    amqp.exceptions.MessageNacked,
    kombu.exceptions.KombuError,
    OSError,
)
"""The exceptions of the libraries when the bus does not work."""

CLOSED = "the broker closed the connection"
CLOSED_AT_ONCE = f"{CLOSED} at once; if this is its port for TLS, set [oslo_messaging_rabbit] ssl"

_BY_CODE = (
    ("WRONG_VERSION_NUMBER", "there is no TLS on this port; correct the port, which is 5671 as a rule"),
    ("ACCESS_REFUSED - Login", "the broker refuses the user or the password; correct the transport URL"),
    ("ACCESS_REFUSED", "the user has no permission there; see: rabbitmqctl set_permissions"),
    ("NOT_ALLOWED", "the virtual host does not exist, or the user may not enter it; see: rabbitmqctl add_vhost"),
    ("PRECONDITION_FAILED", "queues of the same names exist with other properties; delete them on the broker"),
    ("ECONNREFUSED", "connection refused; start the broker or correct the transport URL"),
    ("Connection refused", "connection refused; start the broker or correct the transport URL"),
    ("Name or service not known", "the broker's name cannot be resolved; correct the transport URL"),
    ("Temporary failure in name resolution", "the broker's name cannot be resolved at the moment"),
    ("No address associated", "the broker's name cannot be resolved; correct the transport URL"),
    ("EHOSTUNREACH", "no route to the broker"),
    ("ENETUNREACH", "no route to the broker"),
    ("timed out", "the broker does not answer"),
    ("CONNECTION_FORCED", CLOSED),
    ("closed", CLOSED),
    ("ECONNRESET", CLOSED),
    ("reset by peer", CLOSED),
)
_NAMES = TlsNames(
    cafile="[oslo_messaging_rabbit] ssl_ca_file",
    own="[oslo_messaging_rabbit] ssl_cert_file and ssl_key_file",
    address="the transport URL",
    server="the broker",
)
_TLS = re.compile(r"\[(?:SSL|X509)[^]]*\] ([^(]*)")
_CREDENTIALS = re.compile(r"//[^/\s]*@")


def is_exchange_missing(error: BaseException) -> bool:
    """Return whether the broker has no exchange of Precache: it is deleted with its last queue.

    A connection that had declared it fails once; the next attempt declares it again.
    """
    return "NOT_FOUND - no exchange" in str(error)


def cause(error: BaseException, *, may_lack_tls: bool = False) -> str:
    """Return a short reason. may_lack_tls: the connection has no TLS, and no message was ever accepted."""
    text = str(error)
    if reason := explain_certificate(text, _NAMES):
        return reason
    for sign, words in _BY_CODE:
        if sign in text:
            return CLOSED_AT_ONCE if words == CLOSED and may_lack_tls else words
    if found := _TLS.search(text):
        return f"TLS failed: {found[1].strip()}; see [oslo_messaging_rabbit] ssl"
    if isinstance(error, socket.gaierror):
        return "the broker's name cannot be resolved; correct the transport URL"
    if isinstance(error, TimeoutError):
        return "the broker does not answer"
    first = (text.splitlines() or [""])[0]
    return _CREDENTIALS.sub("//", first)[:200] or type(error).__name__
