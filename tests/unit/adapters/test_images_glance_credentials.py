"""The service's own credentials against a Keystone that goes wrong in every way that we could think of."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.metadata import version

import pytest
from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity.v3 import Password
from keystoneauth1.plugin import BaseAuthPlugin

from precache.adapters.http import open_session
from precache.adapters.images_glance import GlanceImages
from precache.core.errors import ImageNotAuthorized, ImageNotFound, ServiceTokenUnavailable
from precache.core.images import parse_image_id
from tests.unit.adapters.faulty_server import HOLD, FaultyServer, http

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
SOON = timedelta(seconds=0.2)  # only ever waited for by a server that would be silent for ever
RECORD = http("200 OK", json.dumps({"id": IMAGE, "status": "active"}).encode())


class Account(BaseAuthPlugin):
    """Credentials that give one token after another; `failing` makes Keystone raise that."""

    def __init__(self, *tokens, failing=None):
        super().__init__()
        self._tokens, self.failing = list(tokens), failing
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.questions = 0

    def get_token(self, session, **kwargs):
        self.questions += 1
        self.asked.release()
        self.may_answer.wait(10)
        if self.failing:
            raise self.failing
        return self._tokens[0]

    def get_endpoint(self, session, **kwargs):
        self.get_token(session)  # the catalogue comes with it

    def invalidate(self):
        return bool(self._tokens.pop(0)) if len(self._tokens) > 1 else False


def images_with(account, url, **options):
    return GlanceImages(session=open_session(auth=account), endpoint=url, **options)


def tokens_of(server):
    lines = [line for request in server.requests for line in request.splitlines()]
    return [line.removeprefix("X-Auth-Token: ") for line in lines if line.startswith("X-Auth-Token: ")]


def test_a_token_that_is_not_accepted_any_more_is_replaced_once():
    with FaultyServer(http("401 Unauthorized"), RECORD) as server:
        images_with(Account("old", "new"), server.url).show(IMAGE)

    assert tokens_of(server) == ["old", "new"]


def test_a_new_token_that_is_not_accepted_either_is_the_end():
    with FaultyServer(http("401 Unauthorized")) as server, pytest.raises(ImageNotAuthorized, match="the same Keystone"):
        images_with(Account("old", "new", "newest"), server.url).open(IMAGE)

    assert tokens_of(server) == ["old", "new"]


def test_the_callers_token_is_never_replaced_by_the_service_token():
    with FaultyServer(http("401 Unauthorized")) as server, pytest.raises(ImageNotAuthorized):
        images_with(Account("ours", "new"), server.url).show_to("theirs", IMAGE)

    assert tokens_of(server) == ["theirs"]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("403 Forbidden", ImageNotAuthorized, "give it a role"),
        ("404 Not Found", ImageNotFound, "may not see it"),
    ],
)
def test_a_refusal_of_the_service_account_says_what_to_do(status, error, words):
    with FaultyServer(http(status)) as server, pytest.raises(error, match=words):
        images_with(Account("ours"), server.url).open(IMAGE)


def test_what_a_caller_is_denied_says_nothing_of_our_account():
    with FaultyServer(http("403 Forbidden")) as server, pytest.raises(ImageNotAuthorized) as raised:
        images_with(Account("ours"), server.url).show_to("theirs", IMAGE)

    assert "service_user" not in str(raised.value)


def test_without_credentials_nothing_is_said_of_them():
    with FaultyServer(http("404 Not Found")) as server, pytest.raises(ImageNotFound) as raised:
        GlanceImages(session=open_session(), endpoint=server.url).show(IMAGE)

    assert "service_user" not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (http("401 Unauthorized", b"{}"), ImageNotAuthorized, r"Keystone refuses the credentials in \[service_user\]"),
        (http("503 Service Unavailable"), ServiceTokenUnavailable, "HTTP status 503"),
        ((b"", HOLD), ServiceTokenUnavailable, "does not answer in time"),
        (b"", ServiceTokenUnavailable, "closed connection without response|reset by peer"),
    ],
    ids=["refused", "away", "silent", "hangs up"],
)
def test_how_keystone_fails_is_reported_without_the_password(answer, error, words):
    with FaultyServer(answer) as keystone:
        auth = Password(auth_url=f"{keystone.url}/v3", user_id="precache", password="hush-hush", project_id="service")
        images = GlanceImages(session=open_session(auth=auth, timeout=SOON), endpoint="http://127.0.0.1:1")
        with pytest.raises(error, match=words) as raised:
            images.show(IMAGE)

    assert "hush-hush" not in str(raised.value)


def test_a_wrong_service_password_is_never_reported_as_the_callers_fault():
    images = GlanceImages(session=open_session(auth=Account(failing=ksa.Unauthorized("wrong"))))

    with pytest.raises(ImageNotAuthorized, match=r"Keystone refuses the credentials in \[service_user\]"):
        images.show(IMAGE)
    with pytest.raises(ServiceTokenUnavailable, match=r"Keystone refuses the credentials in \[service_user\]"):
        images.show_to("token-of-alice", IMAGE)


def test_those_who_wait_for_a_keystone_that_hangs_share_its_failure():
    account = Account("token", failing=ksa.ConnectTimeout("silence"))
    account.may_answer.clear()
    images = images_with(account, "http://127.0.0.1:1")
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(images.show, IMAGE)
        assert account.asked.acquire(timeout=10)
        others = [pool.submit(images.show, IMAGE) for _ in range(3)]
        # The others are on their way to the lock; one that comes late asks once more, which is right as well.
        account.may_answer.set()
        failures = [each.exception(timeout=10) for each in (first, *others)]

    assert all(isinstance(failure, ServiceTokenUnavailable) for failure in failures)


def test_a_keystone_that_is_back_is_asked_again():
    account = Account("token", failing=ksa.ConnectFailure("away"))
    with FaultyServer(RECORD) as server:
        images = images_with(account, server.url)
        with pytest.raises(ServiceTokenUnavailable):
            images.show(IMAGE)
        account.failing = None

        assert images.show(IMAGE).id == IMAGE


def test_requests_have_the_user_agent():
    with FaultyServer(RECORD) as server:
        GlanceImages(session=open_session(), endpoint=server.url).show(IMAGE)

    assert f"User-Agent: precache/{version('precache')} " in server.requests[0]
