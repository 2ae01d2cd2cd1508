"""Secrets in the database, encrypted with keys that are not stored there (Fernet: AES with a signature)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from precache.core.errors import InvalidConfiguration, SecretUnreadable

OPTION = "[database] encryption_keys"


class SecretBox:
    """Encrypts with the first key, decrypts with the key that fits; thread-safe.

    keys: in the form of `precache config key`; may be empty as long as nothing is encrypted or decrypted.
    Raises InvalidConfiguration, which never quotes a key.
    """

    def __init__(self, *, keys: Sequence[str]) -> None:
        self._keys = MultiFernet([_parse(key, place) for place, key in enumerate(keys, start=1)]) if keys else None

    def encrypt(self, secret: str) -> str:
        """Return the encrypted text. Raises InvalidConfiguration without a key."""
        if self._keys is None:
            raise InvalidConfiguration(f"{OPTION} is not set; make a key with: precache config key")
        return self._keys.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str, what: str, store_again: str = "") -> str:
        """Return the decrypted text. Raises SecretUnreadable, which names the secret as `what`, if no key fits.

        store_again: how an operator replaces the secret; empty for the way of a cell's URL.
        """
        if self._keys is None:
            raise SecretUnreadable(what, store_again)
        try:
            return self._keys.decrypt(encrypted.encode()).decode()
        except InvalidToken:
            # The library's error says nothing useful, also not as a cause.
            raise SecretUnreadable(what, store_again) from None


def _parse(key: str, place: int) -> Fernet:
    try:
        return Fernet(key.strip())
    except ValueError:
        raise InvalidConfiguration(
            f"{OPTION}: key number {place} is not one; make a key with: precache config key"
        ) from None
