"""The ports of tokens on every store."""

from datetime import UTC, datetime, timedelta

import pytest

from precache.core.errors import TokenNameTaken, TokenNotFound
from precache.core.tokens import Token, TokenRole, digest_of

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECRET = "precache_of-a-test"


def token(name, secret=SECRET, roles=(TokenRole.READER,), expires_at=None):
    return Token(name=name, roles=roles, digest=digest_of(secret), created_at=NOW, expires_at=expires_at)


def test_tokens_are_listed_by_name_as_they_were_created(stores):
    created = [
        token("zeta", roles=(TokenRole.ADMIN, TokenRole.COMPUTE)),
        token("Beta", "another", expires_at=NOW + timedelta(days=400)),
        token("alpha", "a third", expires_at=NOW - timedelta(days=1)),
    ]
    for each in created:
        stores.token_changes.create_token(each)

    assert stores.tokens.list_tokens() == [created[1], created[2], created[0]]


def test_a_name_is_taken_until_its_token_is_revoked(stores):
    stores.token_changes.create_token(token("cmp-1"))

    with pytest.raises(TokenNameTaken, match="precache token revoke cmp-1"):
        stores.token_changes.create_token(token("cmp-1", "another"))

    assert stores.tokens.list_tokens() == [token("cmp-1")]
    stores.token_changes.revoke_token("cmp-1")
    stores.token_changes.create_token(token("cmp-1", "another"))
    assert stores.tokens.list_tokens() == [token("cmp-1", "another")]


def test_names_that_differ_in_case_are_different_tokens(stores):
    for name in ("cmp-1", "CMP-1"):
        stores.token_changes.create_token(token(name))

    stores.token_changes.revoke_token("CMP-1")

    assert [each.name for each in stores.tokens.list_tokens()] == ["cmp-1"]


def test_an_unknown_token_cannot_be_revoked(stores):
    with pytest.raises(TokenNotFound, match="cmp-1"):
        stores.token_changes.revoke_token("cmp-1")


def test_a_token_shows_no_digest_when_it_is_printed(stores):
    stores.token_changes.create_token(token("cmp-1"))

    assert digest_of(SECRET) not in repr(stores.tokens.list_tokens())
