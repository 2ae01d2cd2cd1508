"""Texts that the authority of the conductors signs for hosts: tickets, and statements of roots.

A text is the base64url of a JSON object, a full stop, and the base64url of its Ed25519 signature. The object says what
kind of text it is, and its version: a host reads only what it knows. Nothing of an object is read before the signature
is checked.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from precache.ports.swarm_trust import RootStatement, Ticket

VERSION = 1

LONGEST_TEXT = 8 << 10
"""Characters. A longer one is not decoded; a ticket usually has about 300."""

_SIGNED_AS = b"precache swarm text\0"
"""Before the signed bytes, so that a signature of one thing never counts for another that the same key signs."""


def write_ticket(ticket: Ticket, key: Ed25519PrivateKey) -> str:
    return _write(
        key,
        "ticket",
        relay=ticket.relay,
        host=ticket.host,
        cell=ticket.cell,
        sites=list(ticket.sites),
        until=ticket.until.timestamp(),
    )


def read_ticket(text: str, keys: Iterable[Ed25519PublicKey]) -> Ticket | None:
    """Return the ticket, also one that is over; None if none of the keys has signed it."""
    match _read(text, keys, "ticket"):
        case {
            "relay": str(relay),
            "host": str(host),
            "cell": str(cell),
            "sites": [*sites],
            "until": float(until),
        } if all(isinstance(site, str) for site in sites):
            return Ticket(relay, host, cell, tuple(sites), datetime.fromtimestamp(until, UTC))
    return None


def write_root(statement: RootStatement, key: Ed25519PrivateKey) -> str:
    return _write(key, "root", relay=statement.relay, root=statement.root, size_bytes=statement.size_bytes)


def read_root(text: str, keys: Iterable[Ed25519PublicKey]) -> RootStatement | None:
    """Return the statement; None if none of the keys has signed it."""
    match _read(text, keys, "root"):
        case {"relay": str(relay), "root": str(root), "size_bytes": int(size_bytes)}:
            return RootStatement(relay, root, size_bytes)
    return None


def _write(key: Ed25519PrivateKey, kind: str, **fields: object) -> str:
    content = json.dumps({"v": VERSION, "kind": kind, **fields}, separators=(",", ":")).encode()
    signature = key.sign(_SIGNED_AS + content)
    return f"{urlsafe_b64encode(content).decode()}.{urlsafe_b64encode(signature).decode()}"


def _read(text: str, keys: Iterable[Ed25519PublicKey], kind: str) -> dict[str, Any] | None:
    """Return the object of a signed text of this kind; None for any other text."""
    parts = text.split(".") if len(text) <= LONGEST_TEXT else []
    if len(parts) != 2:
        return None
    try:
        content, signature = (urlsafe_b64decode(part) for part in parts)
    except ValueError:
        return None
    if not any(_has_signed(key, signature, content) for key in keys):
        return None
    found = json.loads(content)
    return found if found.get("v") == VERSION and found.get("kind") == kind else None


def _has_signed(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, _SIGNED_AS + content)
    except InvalidSignature:
        return False
    return True
