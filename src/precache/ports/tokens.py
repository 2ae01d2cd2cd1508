"""The service's own tokens, where `[api] auth_strategy` is `token`.

Errors: TokenNotFound, TokenNameTaken, StoreUnavailable. A store never gets a secret, only its digest.
"""

from __future__ import annotations

from typing import Protocol

from precache.core.tokens import Token


class TokenQueries(Protocol):
    """For the processes that answer requests."""

    def list_tokens(self) -> list[Token]:
        """Return all tokens by name, expired ones included."""
        ...


class TokenChanges(Protocol):
    """For the operator."""

    def create_token(self, token: Token) -> None:
        """Add it. Raises TokenNameTaken, also if the one of this name has expired."""
        ...

    def revoke_token(self, name: str) -> None:
        """Delete it: it is no longer accepted, and its name is free. Raises TokenNotFound."""
        ...
