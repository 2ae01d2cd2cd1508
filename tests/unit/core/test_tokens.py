from datetime import UTC, datetime, timedelta

import pytest

from precache.core.tokens import Token, TokenRole, digest_of, find_token

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def token(name, secret, expires_at=None):
    return Token(name=name, roles=(TokenRole.ADMIN,), digest=digest_of(secret), created_at=NOW, expires_at=expires_at)


KNOWN = [token("one", "first"), token("two", "second", NOW + timedelta(hours=1)), token("three", "third", NOW)]


def test_the_digest_is_sha_256():
    assert digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(("secret", "name"), [("first", "one"), ("second", "two")])
def test_a_secret_finds_its_token(secret, name):
    assert find_token(secret, KNOWN, NOW).name == name


@pytest.mark.parametrize("secret", ["", "First", "third", digest_of("first"), "\udcff", "\N{SNOWMAN}"])
def test_any_other_text_finds_none(secret):
    assert find_token(secret, KNOWN, NOW) is None


def test_a_token_ends_at_its_instant():
    assert find_token("second", KNOWN, NOW + timedelta(minutes=59)) is not None
    assert find_token("second", KNOWN, NOW + timedelta(hours=1)) is None
