"""Decides whether others on the network could read what a client sent, such as a token."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_private(scheme: str, client_address: str | None, forwarded_proto: str | None) -> bool:
    """Return whether a request came encrypted, or from this machine.

    scheme: of the connection to this process. client_address: None or empty for a UNIX socket.
    forwarded_proto: the header X-Forwarded-Proto, in which a proxy states the scheme of its own client; of several
        entries the first is the client's. A client that forges it endangers only its own token.
    """
    if forwarded_proto:
        return forwarded_proto.partition(",")[0].strip().lower() == "https"
    return scheme == "https" or not client_address or _is_loopback(client_address)


def is_private_url(url: str) -> bool:
    """Return whether what is sent to this URL is encrypted, or stays on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or host == "localhost" or _is_loopback(host)


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
