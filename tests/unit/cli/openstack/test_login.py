"""`precache` with a Keystone in its environment: who it is, where it goes, and what it says when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.certificates import Authority
from tests.unit.adapters.faulty_server import FaultyServer, http
from tests.unit.cli.conftest import Run
from tests.unit.cli.openstack.played_keystone import PASSWORD, PlayedKeystone
from tests.unit.cli.stub_service import DEBIAN, Reply, Serving, StubService


@pytest.fixture
def glance() -> Iterator[StubService]:
    stub = StubService()
    with Serving(stub):
        yield stub


@pytest.fixture
def keystone(service: StubService, glance: StubService) -> Iterator[PlayedKeystone]:
    with PlayedKeystone({"image-precache": service.url, "image": f"{glance.url}/image"}) as played:
        yield played


def password(keystone: PlayedKeystone, **more: str) -> dict[str, str]:
    return {
        "PRECACHE_URL": "",
        "OS_AUTH_URL": keystone.url,
        "OS_USERNAME": "admin",
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "RegionOne",
    } | more


def test_the_catalogue_says_where_the_service_is(run: Run, keystone: PlayedKeystone, service: StubService) -> None:
    ran = run("host", "list", environ=password(keystone))

    assert ran.code == 0
    assert [asked.headers["x-auth-token"] for asked in service.asked] == ["token-1"]


def test_images_come_from_the_catalogues_image_service(
    run: Run, keystone: PlayedKeystone, service: StubService, glance: StubService
) -> None:
    ran = run("aggregate", "cache", "image", "web", "debian-12", environ=password(keystone))

    assert ran.code == 0
    assert any(asked.path == "/image/v2/images" for asked in glance.asked)
    assert not any(asked.path.startswith("/image") for asked in service.asked)
    post = next(asked for asked in service.asked if asked.method == "POST")
    assert post.body == {"cache": [{"id": DEBIAN}]}


def test_an_address_on_the_command_line_wins_over_the_catalogue(
    run: Run, keystone: PlayedKeystone, service: StubService
) -> None:
    keystone.catalogue["image-precache"] = "http://127.0.0.1:9"

    ran = run("--url", service.url, "host", "list", environ=password(keystone))

    assert ran.code == 0
    assert keystone.issued == ["token-1"]


def test_the_variable_of_the_openstack_client_overrides_the_catalogue_too(
    run: Run, keystone: PlayedKeystone, service: StubService
) -> None:
    keystone.catalogue.clear()
    override = {"OS_IMAGE_PRECACHE_ENDPOINT_OVERRIDE": service.url}

    assert run("host", "list", environ=password(keystone) | override).code == 0


def test_with_an_address_and_a_token_keystone_is_not_asked(
    run: Run, keystone: PlayedKeystone, service: StubService
) -> None:
    ran = run("--url", service.url, "--token", "mine", "host", "list", environ=password(keystone))

    assert ran.code == 0
    assert keystone.issued == []
    assert service.asked[0].headers["x-auth-token"] == "mine"


@pytest.mark.parametrize(
    ("variables", "method"),
    [
        ({"OS_TOKEN": "unscoped"}, "token"),
        ({"OS_APPLICATION_CREDENTIAL_ID": "a1", "OS_APPLICATION_CREDENTIAL_SECRET": "x"}, "application_credential"),
        ({"OS_AUTH_TYPE": "v3password"}, "password"),
    ],
)
def test_what_is_set_decides_how_to_log_in(
    run: Run, keystone: PlayedKeystone, variables: dict[str, str], method: str
) -> None:
    environ = password(keystone, **variables)
    if method == "application_credential":  # such a credential has its own project
        environ = {name: value for name, value in environ.items() if "PROJECT" not in name}

    ran = run("host", "list", environ=environ)

    assert (ran.code, ran.err) == (0, "")
    assert keystone.methods == [method]


@pytest.mark.parametrize("auth_type", ["", "password", "v3token"])
def test_a_token_on_the_command_line_is_what_keystone_is_given(
    run: Run, keystone: PlayedKeystone, service: StubService, auth_type: str
) -> None:
    environ = password(keystone, OS_PASSWORD="", OS_TOKEN="old", OS_AUTH_TYPE=auth_type)

    ran = run("--token", "mine", "host", "list", environ=environ)

    assert (ran.code, ran.err) == (0, "")
    assert keystone.methods == ["token"]
    assert keystone.tokens == ["mine"]
    assert service.asked[0].headers["x-auth-token"] == "token-1"


def test_a_token_and_a_cloud_are_two_logins(run: Run, keystone: PlayedKeystone) -> None:
    ran = run("--token", "mine", "--os-cloud", "edge", "host", "list", environ=password(keystone))

    assert ran.code == 2
    assert "leave out --token" in ran.err
    assert keystone.issued == []


def test_a_token_that_the_service_no_longer_takes_is_replaced(
    run: Run, keystone: PlayedKeystone, service: StubService
) -> None:
    accepted = service.hosts

    def once_refused() -> Reply:
        fresh = service.asked[-1].headers["x-auth-token"] == "token-2"
        return Reply(200, {"hosts": accepted}) if fresh else Reply(401, {"error": {"message": "expired"}})

    service.replies["GET", "/v1/hosts"] = once_refused

    ran = run("host", "list", environ=password(keystone))

    assert ran.code == 0
    assert keystone.issued == ["token-1", "token-2"]


def test_a_wrong_password_is_one_sentence_without_the_password(run: Run, keystone: PlayedKeystone) -> None:
    ran = run("host", "list", environ=password(keystone, OS_PASSWORD="wr0ng"))

    assert ran.code == 1
    assert "refuses the login: The request you have made requires authentication. (HTTP 401)" in ran.err
    assert "wr0ng" not in ran.err
    assert ran.err.count("\n") == 1


def test_a_keystone_that_is_down_is_named(run: Run, keystone: PlayedKeystone) -> None:
    ran = run("host", "list", environ=password(keystone, OS_AUTH_URL="http://127.0.0.1:9/v3"))

    assert ran.code == 3
    assert "Keystone at http://127.0.0.1:9 cannot be reached: Connection refused" in ran.err
    assert "OS_AUTH_URL" in ran.err
    assert ran.err.count("\n") == 1


def test_a_service_that_is_down_is_named(run: Run, keystone: PlayedKeystone) -> None:
    keystone.catalogue["image-precache"] = "http://127.0.0.1:9"

    ran = run("host", "list", environ=password(keystone))

    assert ran.code == 3
    assert "The service at http://127.0.0.1:9 cannot be reached: Connection refused" in ran.err


def test_a_catalogue_without_the_service_says_what_to_do(run: Run, keystone: PlayedKeystone) -> None:
    del keystone.catalogue["image-precache"]

    ran = run("host", "list", environ=password(keystone))

    assert ran.code == 1
    assert "no service of the type 'image-precache' in region RegionOne, interface public" in ran.err
    assert "PRECACHE_URL" in ran.err


@pytest.mark.parametrize(
    "address", ["garbage", "127.0.0.1:5000/v3", "http://", "ftp://k/v3", "http://[k/v3", "http://k:x"]
)
@pytest.mark.parametrize("more", [(), ("--url", "http://127.0.0.1:9")])
def test_an_address_that_no_keystone_can_have_is_a_usage_error(
    run: Run, keystone: PlayedKeystone, address: str, more: tuple[str, ...]
) -> None:
    ran = run(*more, "host", "list", environ=password(keystone, OS_AUTH_URL=address))

    assert ran.code == 2
    assert f"{address!r} is not the address of a Keystone; correct OS_AUTH_URL" in ran.err
    assert ran.err.count("\n") == 1


def test_a_server_without_a_login_is_not_a_keystone(run: Run, keystone: PlayedKeystone, service: StubService) -> None:
    ran = run("host", "list", environ=password(keystone, OS_AUTH_URL=f"{service.url}/v3"))

    assert ran.code == 3
    assert f"What answers at {service.url} is no Keystone: " in ran.err
    assert "correct OS_AUTH_URL" in ran.err
    assert "OS_USERNAME" not in ran.err


@pytest.mark.parametrize("path", ["", "/v3"])
@pytest.mark.parametrize("answer", ["200 OK", "404 Not Found", "405 Method Not Allowed", "501 Not Implemented"])
def test_a_web_server_is_no_keystone(run: Run, keystone: PlayedKeystone, answer: str, path: str) -> None:
    page = b"<!DOCTYPE HTML>\n<html>Welcome. This is a page.</html>"
    with FaultyServer(http(answer, page)) as server:
        ran = run("host", "list", environ=password(keystone, OS_AUTH_URL=server.url + path))
        place = server.url

    assert ran.code == 3
    assert ran.err.startswith(f"precache: What answers at {place} is no Keystone: ")
    assert "correct OS_AUTH_URL (auth_url in clouds.yaml)" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.timeout(30)  # else it waits for itself for ever
@pytest.mark.parametrize("path", ["", "/v3"])
def test_what_wants_a_login_before_anything_else_is_no_keystone(run: Run, keystone: PlayedKeystone, path: str) -> None:
    with FaultyServer(http("401 Unauthorized", b"{}")) as server:
        ran = run("host", "list", environ=password(keystone, OS_AUTH_URL=server.url + path))

    assert ran.code == 3
    assert "it requires authentication for the list of its versions; correct OS_AUTH_URL" in ran.err


def test_a_login_without_a_project_is_told_to_name_one(run: Run, keystone: PlayedKeystone) -> None:
    ran = run("host", "list", environ=password(keystone, OS_PROJECT_NAME="", OS_PROJECT_DOMAIN_NAME=""))

    assert ran.code == 1
    assert "names no project" in ran.err
    assert "OS_PROJECT_NAME" in ran.err
    assert ran.err.count("\n") == 1


def test_https_without_tls_on_the_server_is_not_reported_as_an_authority(
    run: Run, keystone: PlayedKeystone, service: StubService
) -> None:
    secure = {"OS_AUTH_URL": keystone.url.replace("http:", "https:")}

    at_keystone = run("host", "list", environ=password(keystone, **secure))
    at_the_service = run("host", "list", environ={"PRECACHE_URL": service.url.replace("http:", "https:")})

    for ran in (at_keystone, at_the_service):
        assert ran.code == 3
        assert "https://127.0.0.1:" in ran.err
        assert "does not offer TLS" in ran.err
        assert "CACERT" not in ran.err


def test_both_ways_of_http_explain_a_certificate_alike(run: Run, keystone: PlayedKeystone, tmp_path: Path) -> None:
    context = Authority(tmp_path).certificate("127.0.0.1").context()
    with FaultyServer(http("200 OK"), context=context) as server:
        at_keystone = run("host", "list", environ=password(keystone, OS_AUTH_URL=f"{server.url}/v3"))
        at_the_service = run("host", "list", environ={"PRECACHE_URL": server.url})
        distrust = f"precache: The server at {server.url} is not trusted: its certificate is not accepted ("

    for ran in (at_keystone, at_the_service):
        assert ran.code == 3
        assert ran.err.startswith(distrust)
        assert ran.err.endswith("name the authority that signed it in --cacert (OS_CACERT)\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OS_PASSWORD": ""}, "OS_PASSWORD is not set; set what is missing"),
        ({"OS_PASSWORD": "", "OS_AUTH_TYPE": "v3password"}, "OS_PASSWORD is not set; set what is missing"),
        ({"OS_PASSWORD": "", "OS_USERNAME": ""}, "OS_USERNAME and OS_PASSWORD are not set; set what is missing"),
        ({"OS_AUTH_TYPE": "palmreading"}, "'palmreading', which keystoneauth does not know"),
        ({"OS_AUTH_TYPE": "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID": "a1"}, "an auth secret"),
    ],
)
def test_half_an_environment_is_a_usage_error_and_sends_nothing(
    run: Run, keystone: PlayedKeystone, variables: dict[str, str], said: str
) -> None:
    ran = run("host", "list", environ=password(keystone, **variables))

    assert ran.code == 2
    assert said in ran.err
    assert keystone.issued == []


def test_a_cloud_of_clouds_yaml_says_what_reads_it_when_that_is_missing(run: Run) -> None:
    ran = run("--os-cloud", "nowhere", "host", "list")

    assert ran.code == 2
    assert "'nowhere' of clouds.yaml" in ran.err
