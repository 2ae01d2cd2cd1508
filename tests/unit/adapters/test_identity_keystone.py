"""The identity headers that the application gets, for all requests and all answers of Keystone."""

import json
import logging
from datetime import timedelta

import falcon.testing
import pytest
from oslo_config import cfg

from precache.adapters.identity_keystone import LONGEST_TOKEN, keystone
from precache.core.errors import InvalidConfiguration
from tests.http.world import World
from tests.unit.adapters.faulty_server import FaultyServer, http
from tests.unit.adapters.stub_keystone import PASSWORD, PROJECT, StubKeystone, token

ADMIN = "gAAAAAadmin"
SEEN = ("X_IDENTITY_STATUS", "X_SERVICE_IDENTITY_STATUS", "X_USER_ID", "X_USER_NAME", "X_PROJECT_ID", "X_PROJECT_NAME",
        "X_DOMAIN_ID", "X_ROLES", "OPENSTACK_SYSTEM_SCOPE", "X_AUTH_TOKEN")  # fmt: skip


@pytest.fixture
def stub():
    server = StubKeystone()
    server.tokens[ADMIN] = token(roles=("admin", "reader"), project=PROJECT)
    yield server
    server.stop()


def configured(tmp_path, stub, **options):
    options = {
        "auth_type": "password",
        "auth_url": stub.url,
        "username": "precache",
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "token_cache_time": -1,
    } | options
    file = tmp_path / "precache.conf"
    file.write_text("[keystone_authtoken]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    conf = cfg.ConfigOpts()
    conf([], project="precache", default_config_files=[str(file)], default_config_dirs=[])
    return conf


@pytest.fixture
def ask(tmp_path, stub):
    """Return a function that sends a request and gives the identity headers that the application was given."""

    def app(environ, start_response):
        seen = {name: environ[f"HTTP_{name}"] for name in SEEN if environ.get(f"HTTP_{name}") is not None}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(seen).encode()]

    client = falcon.testing.TestClient(keystone(app, configured(tmp_path, stub)))

    def send(**headers):
        # As a server hands them in: the bytes of a header as Latin-1.
        environ = falcon.testing.create_environ("/v1/jobs") | {f"HTTP_{name}": text for name, text in headers.items()}
        status = falcon.testing.StartResponseMock()
        body = b"".join(client.app(environ, status))
        assert status.status == "200 OK"
        return json.loads(body)

    return send


def served(tmp_path, stub, **options):
    """Return a client of the real API behind the middleware."""
    return falcon.testing.TestClient(keystone(World().app, configured(tmp_path, stub, **options)))


def test_a_valid_token_gives_user_project_and_roles(ask):
    assert ask(X_AUTH_TOKEN=ADMIN) == {
        "X_IDENTITY_STATUS": "Confirmed",
        "X_USER_ID": "a1",
        "X_USER_NAME": "alice",
        "X_PROJECT_ID": "p1",
        "X_PROJECT_NAME": "cloud",
        "X_ROLES": "admin,reader",
        "X_AUTH_TOKEN": ADMIN,
    }


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({}, {}),
        ({"domain": {"id": "d1", "name": "corp"}}, {"X_DOMAIN_ID": "d1"}),
        ({"system": {"all": True}}, {"OPENSTACK_SYSTEM_SCOPE": "all"}),
    ],
    ids=["of nothing", "of a domain", "of the system"],
)
def test_a_token_of_another_scope_names_no_project(ask, stub, scope, told):
    stub.tokens["other"] = token(roles=("admin",), **scope)

    seen = ask(X_AUTH_TOKEN="other")

    assert "X_PROJECT_ID" not in seen
    assert {name: seen[name] for name in ("X_DOMAIN_ID", "OPENSTACK_SYSTEM_SCOPE") if name in seen} == told


def test_no_identity_that_a_client_writes_passes(ask, stub):
    stub.tokens["member"] = token(roles=("member",), project=PROJECT)
    forged = dict.fromkeys(SEEN, "all") | {"X_ROLES": "admin", "X_IDENTITY_STATUS": "Confirmed"}

    of_stranger = ask(**forged | {"X_AUTH_TOKEN": "forged"})
    of_member = ask(**forged | {"X_AUTH_TOKEN": "member"})

    assert of_stranger == {"X_IDENTITY_STATUS": "Invalid", "X_AUTH_TOKEN": "forged"}
    assert (of_member["X_ROLES"], of_member["X_USER_ID"], of_member["X_PROJECT_ID"]) == ("member", "a1", "p1")
    assert not {"OPENSTACK_SYSTEM_SCOPE", "X_SERVICE_IDENTITY_STATUS", "X_DOMAIN_ID"} & set(of_member)


def test_a_token_in_the_header_of_another_service_is_ignored(ask):
    assert ask(X_STORAGE_TOKEN=ADMIN) == {"X_IDENTITY_STATUS": "Invalid"}


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "x" * LONGEST_TOKEN, "x" * (LONGEST_TOKEN + 1), "g\xc3\xa9", "a\tb", "a\nX-Roles: admin", "\x00"],
)
def test_text_that_is_no_token_authenticates_no_caller(ask, text):
    assert ask(X_AUTH_TOKEN=text)["X_IDENTITY_STATUS"] == "Invalid"
    assert ask(X_AUTH_TOKEN=ADMIN)["X_IDENTITY_STATUS"] == "Confirmed"


def test_what_cannot_be_a_token_is_not_sent_to_keystone(ask, stub):
    ask(X_AUTH_TOKEN="g\xc3\xa9")
    ask(X_AUTH_TOKEN=ADMIN, X_SERVICE_TOKEN="\x7f")

    assert stub.asked == []


def test_an_expired_token_authenticates_no_caller(ask, stub):
    stub.tokens["old"] = token(roles=("admin",), project=PROJECT, expires_in=timedelta(seconds=-1))

    assert ask(X_AUTH_TOKEN="old")["X_IDENTITY_STATUS"] == "Invalid"


def test_a_service_may_pass_a_request_on_for_a_token_that_expired_meanwhile(ask, stub):
    stub.tokens["old"] = token(roles=("admin",), project=PROJECT, expires_in=timedelta(seconds=-1))
    stub.tokens["nova"] = token(roles=("service",), project=PROJECT, system={"all": True})

    seen = ask(X_AUTH_TOKEN="old", X_SERVICE_TOKEN="nova")

    assert (seen["X_IDENTITY_STATUS"], seen["X_SERVICE_IDENTITY_STATUS"]) == ("Confirmed", "Confirmed")
    assert "OPENSTACK_SYSTEM_SCOPE" not in seen  # the service's is not its caller's


@pytest.mark.parametrize("service_token", ["unknown", ADMIN, "\x7f"])
def test_a_valid_token_with_an_invalid_service_token_authenticates_no_caller(ask, service_token):
    assert ask(X_AUTH_TOKEN=ADMIN, X_SERVICE_TOKEN=service_token)["X_IDENTITY_STATUS"] == "Invalid"


@pytest.mark.parametrize(
    "answer",
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, {"token": None}),
        (200, {"token": {}}),
        (200, {"token": {"user": {}, "expires_at": "soon"}}),
        (401, {}),
        (403, {}),
        (500, b"out of order"),
        (503, {}),
    ],
    ids=str,
)
def test_a_keystone_that_answers_nonsense_authenticates_no_caller_and_keeps_the_service_up(ask, stub, answer):
    stub.answer = answer

    assert ask(X_AUTH_TOKEN=ADMIN)["X_IDENTITY_STATUS"] in ("Invalid", "Unavailable")

    stub.answer = None
    assert ask(X_AUTH_TOKEN=ADMIN)["X_IDENTITY_STATUS"] == "Confirmed"


def test_while_keystone_is_down_no_caller_is_told_to_get_another_token(tmp_path, stub, caplog):
    client = served(tmp_path, stub)
    stub.stop()

    answer = client.simulate_get("/v1/jobs", headers={"X-Auth-Token": ADMIN})
    of_nova = client.simulate_get("/compute/v2.1/os-aggregates", headers={"X-Auth-Token": ADMIN})

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "precache.identity_service.unavailable")
    assert (of_nova.status_code, of_nova.json["serviceUnavailable"]["code"]) == (503, 503)
    assert client.simulate_get("/compute/v2.1").status_code == 200
    assert client.simulate_get("/v1/jobs").status_code == 401
    assert not any(secret in caplog.text for secret in (ADMIN, PASSWORD))
    assert not any(record.exc_info for record in caplog.records)


def test_wrong_credentials_of_our_own_are_not_the_callers_fault(tmp_path, stub, caplog):
    caplog.set_level(logging.DEBUG)
    client = served(tmp_path, stub, password="wrong-hunter3")

    assert client.simulate_get("/v1/jobs", headers={"X-Auth-Token": ADMIN}).status_code == 503
    assert not any(secret in caplog.text for secret in (ADMIN, "hunter3"))


def test_a_keystone_that_wants_a_login_first_is_a_wrong_url(tmp_path, stub, caplog):
    with FaultyServer(http("401 Unauthorized", b"{}")) as proxy:
        client = served(tmp_path, stub, auth_url=proxy.url)
        answer = client.simulate_get("/v1/jobs", headers={"X-Auth-Token": ADMIN})

    assert answer.status_code == 503
    assert "[keystone_authtoken] auth_url requires authentication" in caplog.text
    assert ADMIN not in caplog.text


@pytest.mark.parametrize("path", ["/v1/jobs", "/compute/v2.1/os-aggregates", "/nothing"])
def test_a_stranger_is_told_where_to_get_a_token(tmp_path, stub, path):
    given = served(tmp_path, stub, www_authenticate_uri="https://keystone.example").simulate_get(path)
    by_default = served(tmp_path, stub).simulate_get(path)

    assert (given.status_code, given.headers["WWW-Authenticate"]) == (401, 'Keystone uri="https://keystone.example"')
    assert by_default.headers["WWW-Authenticate"] == f'Keystone uri="{stub.url}"'
    assert given.json["error"]["title"] == "Unauthorized"


def test_a_token_is_cached_for_the_configured_time(tmp_path, stub):
    client = served(tmp_path, stub, token_cache_time=300)

    for _ in range(3):
        assert client.simulate_get("/v1/jobs", headers={"X-Auth-Token": ADMIN}).status_code == 200
    assert stub.asked == [ADMIN]


def test_nothing_is_registered_on_the_global_configuration_beyond_what_the_library_does_itself(tmp_path, stub):
    keystone(lambda *_: [], configured(tmp_path, stub))

    assert cfg.CONF.keystone_authtoken.www_authenticate_uri is None
    with pytest.raises(cfg.NoSuchOptError):
        _ = cfg.CONF.keystone_authtoken.auth_url


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"memcached_servers": "127.0.0.1:11211"}, "memcached_servers needs the Python package python-memcached"),
        ({"memcache_security_strategy": "MAC"}, "memcache_secret_key must be defined"),
        ({"memcache_tls_enabled": "true", "memcache_tls_cafile": "/nowhere.pem"}, "No such file"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(tmp_path, stub, options, told):
    with pytest.raises(InvalidConfiguration) as refused:
        keystone(lambda *_: [], configured(tmp_path, stub, **options))

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
