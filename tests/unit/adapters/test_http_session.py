"""Sessions against a server that requires authentication for the list of Keystone's versions."""

import threading

import pytest
from keystoneauth1.exceptions import MissingAuthPlugin
from keystoneauth1.identity import Password
from keystoneauth1.plugin import BaseAuthPlugin

from precache.adapters.http import open_session, why_unreachable
from tests.unit.adapters.faulty_server import FaultyServer, http
from tests.unit.adapters.stub_keystone import PASSWORD, SERVICES_OWN, StubKeystone


@pytest.fixture(params=["", "/v3"])
def wanting_login(request):
    """Return the auth_url of something that answers everything with 401."""
    with FaultyServer(http("401 Unauthorized", b"{}")) as server:
        yield server.url + request.param


def account(auth_url):
    return Password(
        auth_url=auth_url,
        username="precache",
        password=PASSWORD,
        user_domain_id="default",
        project_name="service",
        project_domain_id="default",
    )


def outcome(question):
    """Return what is raised. A dead-lock holds a thread that nothing can end, so the test does not wait for it."""
    raised = []

    def ask():
        try:
            question()
        except Exception as error:  # noqa: BLE001  (handed to the test)
            raised.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits for itself"
    return raised[0] if raised else None


@pytest.mark.parametrize(
    "ask",
    [
        lambda session: session.get_auth_headers(),
        lambda session: session.get_endpoint(service_type="image"),
        lambda session: session.get("http://127.0.0.1:9/"),
    ],
    ids=["token", "catalogue", "request"],
)
def test_a_server_that_requires_a_login_first_is_reported_without_a_deadlock(wanting_login, ask):
    session = open_session(auth=account(wanting_login))

    error = outcome(lambda: ask(session))

    assert isinstance(error, MissingAuthPlugin)
    assert "correct auth_url" in why_unreachable(error)


def test_such_a_server_is_reported_each_time(wanting_login):
    session = open_session(auth=account(wanting_login))

    errors = [outcome(session.get_token) for _ in range(2)]

    assert [type(error) for error in errors] == [MissingAuthPlugin, MissingAuthPlugin]


class Borrowing(BaseAuthPlugin):
    """Credentials that need the token of others to get their own, as those of a federation do."""

    def __init__(self, lender):
        super().__init__()
        self._lender = lender

    def get_token(self, session, **kwargs):
        return f"for {session.get_token(self._lender)}"


def test_credentials_may_depend_on_others():
    keystone = StubKeystone()
    try:
        session = open_session(auth=Borrowing(account(keystone.url)))

        assert session.get_token() == f"for {SERVICES_OWN}"
    finally:
        keystone.stop()
