"""Callers by tokens of our own: which headers reach the application, and how often the store is asked."""

from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.identity_tokens import KnownTokens, identified_by_token
from precache.adapters.tokens_memory import MemoryTokens
from precache.core.errors import StoreUnavailable
from precache.core.tokens import Token, TokenRole, digest_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OPERATOR, COMPUTE = "precache_operators", "precache_of-a-host"
REMOTE = {"wsgi.url_scheme": "https", "REMOTE_ADDR": "10.0.0.7"}


class CountedTokens(MemoryTokens):
    """A store that counts how often it is asked, and fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.is_away = False

    def list_tokens(self):
        self.questions += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return super().list_tokens()


class World:
    """A store with two tokens, and the middleware in front of an application that shows what it gets."""

    def __init__(self) -> None:
        self.store, self.clock, self.seconds = CountedTokens(), MemoryClock(start=NOW), 0.0
        for name, secret, roles in (
            ("operator", OPERATOR, (TokenRole.ADMIN, TokenRole.READER)),
            ("cmp-1", COMPUTE, (TokenRole.COMPUTE,)),
        ):
            token = Token(
                name=name,
                roles=roles,
                digest=digest_of(secret),
                created_at=NOW,
                expires_at=NOW + timedelta(hours=1) if name == "cmp-1" else None,
            )
            self.store.create_token(token)
        self.known = KnownTokens(
            store=self.store, clock=self.clock, longest_age=timedelta(seconds=3), monotonic=lambda: self.seconds
        )

    def seen(self, **sent):
        seen = {}

        def app(environ, start_response):
            seen.update(environ)
            return []

        identified_by_token(app, self.known)({**REMOTE, **sent}, lambda *_: None)
        return seen

    def status(self, **sent):
        return self.seen(**sent)["HTTP_X_IDENTITY_STATUS"]


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize(
    "sent",
    [
        {"HTTP_X_AUTH_TOKEN": OPERATOR},
        {"HTTP_AUTHORIZATION": f"Bearer {OPERATOR}"},
        {"HTTP_AUTHORIZATION": f"bearer  {OPERATOR} "},
        {"HTTP_X_AUTH_TOKEN": OPERATOR, "HTTP_AUTHORIZATION": "Basic Zm9vOmJhcg=="},
    ],
)
def test_the_holder_of_a_token_has_its_name_and_roles_on_the_whole_system(world, sent):
    seen = world.seen(**sent)

    assert seen["HTTP_X_IDENTITY_STATUS"] == "Confirmed"
    assert (seen["HTTP_X_USER_ID"], seen["HTTP_X_USER_NAME"]) == ("operator", "operator")
    assert seen["HTTP_X_ROLES"] == "admin,reader"
    assert seen["HTTP_OPENSTACK_SYSTEM_SCOPE"] == "all"
    assert seen["HTTP_X_AUTH_TOKEN"] == OPERATOR  # the image service is asked with it
    assert "HTTP_AUTHORIZATION" not in seen


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"HTTP_X_AUTH_TOKEN": ""},
        {"HTTP_X_AUTH_TOKEN": "wrong"},
        {"HTTP_X_AUTH_TOKEN": digest_of(OPERATOR)},
        {"HTTP_X_AUTH_TOKEN": f"{OPERATOR} "},
        {"HTTP_X_AUTH_TOKEN": "\xff" * 5000},
        {"HTTP_AUTHORIZATION": OPERATOR},
        {"HTTP_AUTHORIZATION": f"Basic {OPERATOR}"},
    ],
)
def test_anything_else_is_a_stranger_without_a_token(world, sent):
    seen = world.seen(**sent)

    assert seen["HTTP_X_IDENTITY_STATUS"] == "Invalid"
    assert not {"HTTP_X_USER_ID", "HTTP_X_ROLES", "HTTP_X_AUTH_TOKEN"} & seen.keys()


@pytest.mark.parametrize("token", [{}, {"HTTP_X_AUTH_TOKEN": COMPUTE}])
def test_identity_headers_of_the_client_are_removed(world, token):
    forged = {
        "HTTP_X_IDENTITY_STATUS": "Confirmed",
        "HTTP_X_SERVICE_IDENTITY_STATUS": "Confirmed",
        "HTTP_X_SERVICE_TOKEN": "x",
        "HTTP_X_USER_ID": "root",
        "HTTP_X_USER_DOMAIN_ID": "root",
        "HTTP_X_PROJECT_ID": "root",
        "HTTP_X_DOMAIN_ID": "root",
        "HTTP_X_TENANT": "root",
        "HTTP_X_ROLES": "admin",
        "HTTP_X_ROLE": "admin",
        "HTTP_OPENSTACK_SYSTEM_SCOPE": "all",
    }

    seen = world.seen(**forged, **token)

    assert {name: value for name, value in seen.items() if name in forged} == (
        {
            "HTTP_X_IDENTITY_STATUS": "Confirmed",
            "HTTP_X_USER_ID": "cmp-1",
            "HTTP_X_ROLES": "compute",
            "HTTP_OPENSTACK_SYSTEM_SCOPE": "all",
        }
        if token
        else {"HTTP_X_IDENTITY_STATUS": "Invalid"}
    )


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ({"wsgi.url_scheme": "http"}, "Exposed"),
        ({"wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1"}, "Confirmed"),
        ({"wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "http"}, "Exposed"),
        ({"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https"}, "Confirmed"),
    ],
)
def test_a_token_that_crossed_a_network_unencrypted_is_not_accepted(world, way, status):
    assert world.status(HTTP_X_AUTH_TOKEN=OPERATOR, **way) == status


def test_a_token_ends_at_its_instant_without_a_question(world):
    assert world.status(HTTP_X_AUTH_TOKEN=COMPUTE) == "Confirmed"

    world.clock.sleep(timedelta(hours=1))

    assert world.status(HTTP_X_AUTH_TOKEN=COMPUTE) == "Invalid"
    assert world.store.questions == 1


def test_revocation_is_noticed_within_the_longest_age(world):
    assert world.status(HTTP_X_AUTH_TOKEN=OPERATOR) == "Confirmed"

    world.store.revoke_token("operator")
    world.seconds = 3.0

    assert world.status(HTTP_X_AUTH_TOKEN=OPERATOR) == "Invalid"


def test_the_store_is_asked_once_for_many_requests_with_good_and_bad_tokens(world):
    for number in range(50):
        world.status(HTTP_X_AUTH_TOKEN=OPERATOR)
        world.status(HTTP_X_AUTH_TOKEN=f"guess {number}")

    assert world.store.questions == 1


def test_no_caller_is_accepted_while_the_store_is_down_and_it_is_queried_seldom(world):
    assert world.status(HTTP_X_AUTH_TOKEN=OPERATOR) == "Confirmed"
    world.store.is_away, world.seconds = True, 3.0

    assert {world.status(HTTP_X_AUTH_TOKEN=OPERATOR) for _ in range(5)} == {"Unavailable"}
    assert world.store.questions == 2
    world.store.is_away, world.seconds = False, 6.0
    assert world.status(HTTP_X_AUTH_TOKEN=OPERATOR) == "Confirmed"
