"""Precache's own tokens, for sites without Keystone: name, role and expiry.

A secret is 256 random bits, so it cannot be guessed from its SHA-256 in a stolen database. The slow hashes that
passwords need would only make each request slower. See adr/0008.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

SECRET_BYTES = 32
SECRET_PREFIX = "precache_"  # noqa: S105  lets scanners of repositories and logs find a token that was leaked


class TokenRole(StrEnum):
    """What the holder of a token may do, by the default policies.

    admin: everything. reader: read everything. compute: read images, and nothing in the API.
    """

    ADMIN = "admin"
    READER = "reader"
    COMPUTE = "compute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is stored: never with its secret.

    digest: of the secret, see `digest_of`. expires_at: None for a token that is valid until it is revoked.
    """

    name: str
    roles: tuple[TokenRole, ...]
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret in 64 hexadecimal digits. Only this is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def find_token(secret: str, known: Iterable[Token], now: datetime) -> Token | None:
    """Return the valid token with this secret, or None.

    Every token is compared, in constant time, so that the duration reveals nothing.
    """
    digest = digest_of(secret)
    matching = [token for token in known if hmac.compare_digest(token.digest, digest)]
    return next((token for token in matching if not token.is_expired(now)), None)
