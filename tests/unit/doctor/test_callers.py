"""Callers with tokens of our own."""

from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.sql import open_database
from precache.adapters.tokens_sql import SqlTokens
from precache.core.errors import InvalidConfiguration
from precache.core.tokens import Token, TokenRole
from precache.doctor.callers import check_callers
from precache.doctor.keystone import check_service_user
from tests.unit.doctor.looking import only

TEXT = """\
[api]
auth_strategy = token
[glance]
endpoint_override = https://images:9292
[database]
connection = {url}
"""
NOW = datetime.now(UTC)


def create(url, name, role, expires_at=None):
    database = open_database(url)
    token = Token(name=name, roles=(role,), digest=name * 8, created_at=NOW, expires_at=expires_at)
    SqlTokens(database=database).create_token(token)
    database.close()


def test_tokens_are_counted(configured, sqlite_url):
    create(sqlite_url, "one", TokenRole.ADMIN)
    create(sqlite_url, "two", TokenRole.READER, NOW - timedelta(days=1))

    finding = only(check_callers(configured(TEXT.format(url=sqlite_url))))

    assert (finding.status, finding.found) == ("ok", "1 tokens are valid, 1 have expired")


def test_no_valid_administrator_is_worth_a_warning(configured, sqlite_url):
    create(sqlite_url, "one", TokenRole.ADMIN, NOW - timedelta(days=1))
    create(sqlite_url, "two", TokenRole.READER)

    finding = only(check_callers(configured(TEXT.format(url=sqlite_url))))

    assert finding.status == "warning"
    assert "precache token create NAME --role admin" in finding.advice


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("https://", "http://", "would be sent unencrypted"),
        ("= token", "= token\nlisten = 0.0.0.0:8775", "without TLS"),
        ("= token", "= token\ncert_file = /nowhere/a\nkey_file = /nowhere/b", "cannot be read"),
    ],
)
def test_what_would_stop_the_api_is_a_failure(configured, sqlite_url, old, new, reason):
    config = configured(TEXT.format(url=sqlite_url).replace(old, new))

    with pytest.raises(InvalidConfiguration, match=reason):
        list(check_callers(config))


def test_a_host_with_a_token_needs_no_service_user(configured):
    text = "[glance]\nauth_token = precache_x\nendpoint_override = https://images:9292"

    assert only(check_service_user(configured(text))).status == "skipped"
