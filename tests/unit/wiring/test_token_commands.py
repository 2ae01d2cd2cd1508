"""`precache token ...`, run as the program runs it."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.sql import open_database, upgrade
from precache.adapters.tokens_sql import SqlTokens
from precache.cli.app import PrecacheApp
from precache.cli.errors import UsageError
from precache.core.tokens import TokenRole, digest_of, find_token
from precache.wiring.commands.token import parse_expiry

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "precache.sqlite"


@pytest.fixture
def tokens(place):
    database = open_database(f"sqlite:///{place}")
    upgrade(database)
    yield SqlTokens(database=database)
    database.close()


@pytest.fixture
def run(tokens, place):
    config = place.with_name("precache.conf")
    config.write_text(f"[database]\nconnection = sqlite:///{place}\n")

    def run_it(*words):
        stdout, stderr = io.StringIO(), io.StringIO()
        line = ["token", words[0], "--config-file", str(config), *words[1:]]
        code = PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(line)
        return code, stdout.getvalue(), stderr.getvalue()

    return run_it


def test_a_token_is_shown_once_and_stored_as_its_digest(run, tokens, place):
    code, printed, told = run("create", "cmp-1", "--role", "compute", "-f", "value", "-c", "token")

    secret = printed.strip()
    assert (code, told) == (0, "")
    assert len(secret) == len("precache_") + 43  # 256 bits
    (stored,) = tokens.list_tokens()
    assert (stored.name, stored.roles, stored.digest) == ("cmp-1", (TokenRole.COMPUTE,), digest_of(secret))
    assert all(secret.encode() not in file.read_bytes() for file in place.parent.iterdir())
    assert secret not in run("list")[1]


def test_tokens_are_listed_with_roles_and_state(run):
    run("create", "operator", "--role", "admin", "--expires", "2999-01-31")
    run("create", "both", "--role", "compute", "--role", "reader")

    code, printed, _ = run("list", "-f", "json")

    assert code == 0
    assert [{**row, "created_at": ""} for row in json.loads(printed)] == [
        {"name": "both", "roles": "reader,compute", "state": "valid", "created_at": "", "expires_at": None},
        {
            "name": "operator",
            "roles": "admin",
            "state": "valid",
            "created_at": "",
            "expires_at": "2999-01-31T00:00:00+00:00",
        },
    ]


def test_revoked_tokens_are_gone_and_unknown_ones_are_reported(run, tokens):
    run("create", "one", "--role", "admin")
    run("create", "two", "--role", "admin")

    code, _, told = run("revoke", "one", "three", "two")

    assert (code, told.splitlines()) == (
        1,
        ["precache: Token three could not be found; 'precache token list' shows all.", "precache: Done: one, two"],
    )
    assert tokens.list_tokens() == []


def test_each_secret_is_another(run, tokens):
    first, second = (
        run("create", name, "--role", "admin", "-f", "value", "-c", "token")[1].strip() for name in ("one", "two")
    )

    assert first != second
    assert find_token(second, tokens.list_tokens(), datetime.now(UTC)).name == "two"


@pytest.mark.parametrize("name", ["a b", "a/b", "x" * 256])
def test_what_cannot_be_a_name_is_refused(run, tokens, name):
    code, _, told = run("create", "--role", "admin", "--", name)

    assert code == 2
    assert "cannot be a token's name" in told
    assert tokens.list_tokens() == []


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("30m", NOW + timedelta(minutes=30)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00:00Z", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_duration_or_an_instant(text, instant):
    assert parse_expiry(text, NOW) == instant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "neither"),
        ("0d", "neither"),
        ("-3d", "neither"),
        ("3w", "neither"),
        ("tomorrow", "neither"),
        ("999999999d", "too far"),
        ("2026-03-01T12:00:00Z", "is in the past"),
    ],
)
def test_any_other_expiry_is_refused(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_expiry(text, NOW)
