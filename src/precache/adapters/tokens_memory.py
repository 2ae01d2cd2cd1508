"""Tokens in memory: for tests."""

from __future__ import annotations

import threading

from precache.core.errors import TokenNameTaken, TokenNotFound
from precache.core.tokens import Token


class MemoryTokens:
    """The ports `TokenQueries` and `TokenChanges`; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}

    def list_tokens(self) -> list[Token]:
        with self._lock:
            return [token for _, token in sorted(self._tokens.items())]

    def create_token(self, token: Token) -> None:
        with self._lock:
            if token.name in self._tokens:
                raise TokenNameTaken(token.name)
            self._tokens[token.name] = token

    def revoke_token(self, name: str) -> None:
        with self._lock:
            if self._tokens.pop(name, None) is None:
                raise TokenNotFound(name)
