"""Finds secrets in text: as they are, percent-encoded, and within anything that was base64-encoded."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

# Tokens of Keystone, and what our own keys encrypted, begin alike: a version byte and the upper half of a date.
FERNET = re.compile(r"gAAAA[A-Za-z0-9_=-]{40,}")


def forms(secret: str) -> set[str]:
    """Return every form in which the secret may turn up."""
    found = {secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    for offset in range(3):
        # What stands before decides on how the bits fall; the first and last characters also hold neighbours' bits.
        first, rest = -(-offset * 8 // 6), (offset + len(secret.encode())) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * offset + secret.encode() + b"\0\0").decode()[first:rest])
    return found


def traces(secrets: Iterable[str], texts: Iterable[tuple[str, str]]) -> list[str]:
    """Return, for each text (what it is, itself) in which a secret is found, what it is and a piece of it."""
    wanted = {form for secret in secrets for form in forms(secret)}
    pattern = re.compile("|".join(re.escape(form) for form in sorted(wanted, key=len, reverse=True)))
    found = []
    for name, text in texts:
        for match in pattern.finditer(text):
            found.append(f"{name}: {text[max(0, match.start() - 120) : match.end() + 20]!r}")
    return found
