"""Detects requests that a web page of another site may have sent, for servers without authentication.

A browser on the operator's machine can reach a loopback address on behalf of any page. A page can send there what an
HTML form can send (a cross-site request). It can also read the answers if its host name resolves to the address (DNS
rebinding). A page cannot change the headers that reveal both: Host, Origin, Sec-Fetch-Site and Content-Type. Programs
such as curl and the OpenStack clients send only Host and Content-Type.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_OWN_SITES = frozenset({"same-origin", "none"})  # none: typed into the address bar, or opened from a bookmark
_JSON_TYPES = frozenset({"application/json", "application/vnd.openstack.compute+json"})


def is_served_host(host: str | None, listening: Collection[str] = ()) -> bool:
    """Return whether a header Host names this machine: by a loopback name or address, or one of `listening`.

    The port does not matter: it may be forwarded. Browsers always send the header; without it the request is served.
    """
    if not host:
        return True
    name = _name_in(host)
    return name is not None and (name in _LOOPBACK_NAMES or name in listening or _is_loopback(name))


def is_own_origin(origin: str | None, host: str | None) -> bool:
    """Return whether a header Origin is missing, or names the server that the request was sent to.

    The scheme does not matter, because a proxy in front may terminate TLS.
    """
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    is_plain = parts.scheme in ("http", "https") and not (parts.path or parts.query or parts.fragment)
    return is_plain and bool(parts.netloc) and parts.netloc.lower() == (host or "").lower()


def is_own_site(fetch_site: str | None) -> bool:
    """Return whether a header Sec-Fetch-Site is missing, or names no other site."""
    return fetch_site is None or fetch_site.strip().lower() in _OWN_SITES


def is_json(content_type: str | None) -> bool:
    """Return whether a page of another site needs a preflight request before it may send this content type."""
    return (content_type or "").partition(";")[0].strip().lower() in _JSON_TYPES


def _name_in(host: str) -> str | None:
    """Return the name in `name:port`, in lower case; None if there is none."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    is_plain = parts.netloc == host and "@" not in host
    return name.removesuffix(".") if is_plain and name else None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
