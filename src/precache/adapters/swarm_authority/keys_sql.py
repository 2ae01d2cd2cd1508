"""The keys of the authority in the database, encrypted with [database] encryption_keys, as the URLs of cells are."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from precache.adapters.sql import Database, SecretBox
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import TransactionUndone, idempotent, repeatable
from precache.adapters.sql.tables import swarm_authorities
from precache.adapters.swarm_authority.authority import AuthorityKey

FIRST = 1

WHAT = "The key of the swarm's authority"
STORE_AGAIN = "make another: precache swarm authority renew --at-once"


class SqlAuthorityKeys:
    """Read and change them. Several conductors may do so at once.

    keys: of `SecretBox`. Every method raises InvalidConfiguration without a key, and for one that is invalid.
    """

    def __init__(self, *, database: Database, keys: Sequence[str]) -> None:
        self._database = database
        self._secrets = SecretBox(keys=keys)

    @repeatable
    def list_keys(self) -> list[AuthorityKey]:
        """Return all keys, the oldest first. Raises SecretUnreadable if one was encrypted with an unknown key."""
        with self._database.read() as connection:
            rows = connection.execute(select(swarm_authorities).order_by(swarm_authorities.c.id)).all()
        return [
            AuthorityKey.from_pem(
                key=self._secrets.decrypt(row.secret, WHAT, STORE_AGAIN),
                certificate=row.certificate,
                signs_from=row.signs_from,
            )
            for row in rows
        ]

    @idempotent
    def add_first(self, key: AuthorityKey) -> None:
        """Store the key if there is none: of several processes that do this at once, the first one stores its key."""
        row = self._row(FIRST, key)
        with self._database.write() as connection:
            # Rows are removed only together with the insertion of another one with a higher number.
            if connection.scalar(select(swarm_authorities.c.id).limit(1)) is None:
                upsert(connection, swarm_authorities, [row], key=["id"])

    @repeatable
    def add(self, key: AuthorityKey, *, after: AuthorityKey) -> None:
        """Store the key as the next one; not if another process has stored one after that key meanwhile."""
        with self._database.write() as connection:
            last = _last(connection)
            stored = connection.scalar(select(swarm_authorities.c.certificate).where(swarm_authorities.c.id == last))
            if stored == after.certificate_pem:
                self._insert(connection, last + 1, key)

    @repeatable
    def replace_all(self, key: AuthorityKey) -> None:
        """Store the key, and remove all others, also those that cannot be decrypted."""
        with self._database.write() as connection:
            last = _last(connection)
            self._insert(connection, last + 1, key)
            connection.execute(delete(swarm_authorities).where(swarm_authorities.c.id <= last))

    @repeatable
    def encrypt_again(self) -> int:
        """Encrypt all keys with the first configured key; return how many. Raises SecretUnreadable."""
        with self._database.write() as connection:
            rows = connection.execute(select(swarm_authorities).with_for_update()).all()
            for row in rows:
                secret = self._secrets.encrypt(self._secrets.decrypt(row.secret, WHAT, STORE_AGAIN))
                connection.execute(
                    update(swarm_authorities).where(swarm_authorities.c.id == row.id).values(secret=secret)
                )
        return len(rows)

    def _insert(self, connection: Connection, number: int, key: AuthorityKey) -> None:
        try:
            connection.execute(insert(swarm_authorities).values(self._row(number, key)))
        except IntegrityError as exc:
            raise TransactionUndone("another process has just stored a key of the swarm's authority") from exc

    def _row(self, number: int, key: AuthorityKey) -> dict[str, object]:
        return {
            "id": number,
            "certificate": key.certificate_pem,
            "secret": self._secrets.encrypt(key.key_pem),
            "signs_from": key.signs_from,
        }


def _last(connection: Connection) -> int:
    return connection.scalar(select(func.max(swarm_authorities.c.id))) or 0
