"""Why a broker did not take a message, in words for an operator; never with a user name or a password."""

from __future__ import annotations

import re
import socket
import ssl

import amqp.exceptions
import kombu.exceptions
import oslo_messaging

BUS_ERRORS = (
    oslo_messaging.MessagingException,
    amqp.exceptions.AMQPError,
    amqp.exceptions.MessageNacked,
    kombu.exceptions.KombuError,
    OSError,
)
"""What the libraries raise when the bus does not work."""

_BY_CODE = (
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
    ("CONNECTION_FORCED", "the broker closed the connection"),
    ("closed", "the broker closed the connection"),
    ("ECONNRESET", "the broker closed the connection"),
    ("reset by peer", "the broker closed the connection"),
)
_CREDENTIALS = re.compile(r"//[^/\s]*@")


def is_exchange_missing(error: BaseException) -> bool:
    """Say whether the broker has no exchange of ours: it goes with the last queue, that is, when nobody listens.

    A connection that had declared it learns so by failing once; the next attempt declares it anew.
    """
    return "NOT_FOUND - no exchange" in str(error)


def cause(error: BaseException) -> str:
    """Give the reason in a few words."""
    text = str(error)
    for sign, words in _BY_CODE:
        if sign in text:
            return words
    if isinstance(error, socket.gaierror):
        return "the broker's name cannot be resolved; correct the transport URL"
    if isinstance(error, TimeoutError):
        return "the broker does not answer"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'unknown reason'}; see [oslo_messaging_rabbit] ssl"
    first = (text.splitlines() or [""])[0]
    return _CREDENTIALS.sub("//", first)[:200] or type(error).__name__
