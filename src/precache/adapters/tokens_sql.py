"""Tokens in the database: name, roles and the digest of the secret."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from precache.adapters.sql import Database
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import tokens
from precache.core.errors import TokenNameTaken, TokenNotFound
from precache.core.tokens import Token, TokenRole

_SEPARATOR = ","


class SqlTokens:
    """The ports `TokenQueries` and `TokenChanges`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def list_tokens(self) -> list[Token]:
        with self._database.read() as connection:
            rows = connection.execute(select(tokens)).all()
        # Sorted here, because databases differ in how they order letters.
        return sorted((_token(row) for row in rows), key=lambda token: token.name)

    @repeatable
    def create_token(self, token: Token) -> None:
        values = {
            "name": token.name,
            "digest": token.digest,
            "roles": _SEPARATOR.join(token.roles),
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        with self._database.write() as connection:
            try:
                connection.execute(insert(tokens).values(values))
            except IntegrityError as exc:
                raise TokenNameTaken(token.name) from exc

    @repeatable
    def revoke_token(self, name: str) -> None:
        with self._database.write() as connection:
            if not connection.execute(delete(tokens).where(tokens.c.name == name)).rowcount:
                raise TokenNotFound(name)


def _token(row: Any) -> Token:
    # A role of a newer release is ignored: it allows nothing in this release.
    known = {role.value: role for role in TokenRole}
    return Token(
        name=row.name,
        roles=tuple(known[role] for role in row.roles.split(_SEPARATOR) if role in known),
        digest=row.digest,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
