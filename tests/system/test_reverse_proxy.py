"""The rules for a proxy in front of Nova, in the real nginx and HAProxy: which requests reach Precache, which Nova."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.lab.haproxy import HaProxy
from tests.lab.nginx import Nginx
from tests.lab.process import free_port
from tests.system.conftest import random_raw
from tests.system.operating import NEWEST, aggregate, ids

pytestmark = [pytest.mark.system, pytest.mark.external]

DEPLOY = Path(__file__).parents[2] / "deploy"
PROJECT = "8a3f0c4be1f24dbf9ce0d3d1d6c9a111"
TIMEOUT_S = 60


@contextmanager
def played(name: str) -> Iterator[str]:
    """Return the address of a server that answers every request with its own name and what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = {
                "who": name,
                "method": self.command,
                "path": self.path,
                "headers": {key.lower(): ", ".join(self.headers.get_all(key, ())) for key in self.headers},
                "body": self.rfile.read(length).decode(),
            }
            payload = json.dumps(asked).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _serve  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configured(file: str, port: int, nova: str, precache: str) -> str:
    """Return a file of deploy/ with the addresses of a test in place of those of the example."""
    text = (DEPLOY / file).read_text()
    for example, ours in {
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "127.0.0.1:8774": nova,
        "127.0.0.1:8775": precache,
    }.items():
        assert example in text
        text = text.replace(example, ours)
    return text


def nginx(directory: Path, nova: str, precache: str) -> Nginx:
    port = free_port()
    site = configured("nginx/nova-api.conf", port, nova, precache)
    snippet = (DEPLOY / "nginx/precache.conf").read_text()
    return Nginx(directory, port=port, site=site, snippets={"precache.conf": snippet})


def haproxy(directory: Path, nova: str, precache: str) -> HaProxy:
    port = free_port()
    return HaProxy(directory, port=port, configuration=configured("haproxy/precache.cfg", port, nova, precache))


KINDS = {"nginx": nginx, "haproxy": haproxy}


@contextmanager
def running(kind: str, directory: Path, nova: str, precache: str) -> Iterator[str]:
    """Return the address of a proxy of this kind in front of the two."""
    proxy = KINDS[kind](directory, nova, precache)
    try:
        proxy.start()
        yield proxy.url
    finally:
        proxy.stop()


@pytest.fixture(scope="module", params=list(KINDS))
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy in front of two played servers, `nova` and `precache`."""
    directory = tmp_path_factory.mktemp(request.param)
    with (
        played("nova") as nova,
        played("precache") as precache,
        running(request.param, directory, nova, precache) as url,
    ):
        yield url


def ask(url: str, method: str, path: str, **more: object) -> dict:
    answer = requests.request(method, f"{url}{path}", timeout=TIMEOUT_S, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_files_pass_the_programs_own_check_without_a_warning(kind: str, tmp_path: Path) -> None:
    said = KINDS[kind](tmp_path, "127.0.0.1:1", "127.0.0.1:2").check()

    assert "warn" not in said.lower()


@pytest.mark.parametrize("prefix", ["", "/compute"])
@pytest.mark.parametrize("project", ["", f"/{PROJECT}"])
def test_the_request_to_cache_images_reaches_precache(proxy: str, prefix: str, project: str) -> None:
    asked = ask(proxy, "POST", f"{prefix}/v2.1{project}/os-aggregates/7/images", json={"cache": []})

    assert (asked["who"], asked["method"]) == ("precache", "POST")
    assert asked["path"] == f"/compute/v2.1{project}/os-aggregates/7/images"
    assert asked["body"] == '{"cache": []}'


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v2.1"),
        ("GET", "/v2.1/"),
        ("GET", "/compute/v2.1/os-aggregates"),
        ("POST", "/v2.1/os-aggregates"),
        ("GET", "/v2.1/os-aggregates/7"),
        ("POST", "/v2.1/os-aggregates/7/action"),
        ("GET", "/v2.1/os-aggregates/7/images"),
        ("PUT", "/v2.1/os-aggregates/7/images"),
        ("DELETE", "/compute/v2.1/os-aggregates/7/images"),
        ("OPTIONS", "/v2.1/os-aggregates/7/images"),
        ("POST", "/v2.1/os-aggregates/7/images/"),
        ("POST", "/v2.1/os-aggregates/7/images/x"),
        ("POST", "/v2.1/os-aggregates//images"),
        ("POST", "/v2/os-aggregates/7/images"),
        ("POST", "/v2.1/servers/os-aggregates/7/images"),
        ("POST", "/x/v2.1/os-aggregates/7/images"),
        ("POST", "/v2x1/os-aggregates/7/images"),
        ("POST", "/v2.1/servers?path=/v2.1/os-aggregates/7/images"),
        ("GET", f"/v2.1/{PROJECT}/servers/detail?all_tenants=1&name=a%20b%2Fc"),
        ("DELETE", "/v2.1/servers/1"),
    ],
)
def test_everything_else_goes_to_nova_as_it_came(proxy: str, method: str, path: str) -> None:
    asked = ask(proxy, method, path, data=b"as it came" if method in ("POST", "PUT") else None)

    assert (asked["who"], asked["method"], asked["path"]) == ("nova", method, path)
    assert asked["body"] == ("as it came" if method in ("POST", "PUT") else "")


def test_a_query_is_kept(proxy: str) -> None:
    asked = ask(proxy, "POST", "/v2.1/os-aggregates/7/images?a=b%20c")

    assert (asked["who"], asked["path"]) == ("precache", "/compute/v2.1/os-aggregates/7/images?a=b%20c")


def test_headers_arrive_and_a_token_may_be_long(proxy: str) -> None:
    token = "t" * 20_000
    headers = {"X-Auth-Token": token, "OpenStack-API-Version": "compute 2.81", "X-Forwarded-For": "192.0.2.9"}

    for path in ("/v2.1/os-aggregates/7/images", "/v2.1/servers"):
        sent = ask(proxy, "POST", path, headers=headers)["headers"]

        assert sent["x-auth-token"] == token
        assert sent["openstack-api-version"] == "compute 2.81"
        assert sent["x-forwarded-for"].startswith("192.0.2.9")
        assert sent["x-forwarded-for"].endswith("127.0.0.1")
        assert sent["x-forwarded-proto"] == "http"
        assert sent["host"] == proxy.removeprefix("http://")


def test_the_inner_path_of_the_rule_is_not_a_way_in_from_outside(proxy: str) -> None:
    answer = requests.post(f"{proxy}/precache-only/v1/hosts", timeout=TIMEOUT_S)

    # nginx says itself that there is nothing; HAProxy, which needs no such path, leaves it to Nova.
    assert answer.status_code == 404 or answer.json()["who"] == "nova"


@pytest.mark.parametrize("kind", list(KINDS))
def test_nova_works_while_precache_is_down(kind: str, tmp_path: Path) -> None:
    with played("nova") as nova, running(kind, tmp_path, nova, f"127.0.0.1:{free_port()}") as url:
        refused = requests.post(f"{url}/v2.1/os-aggregates/7/images", timeout=TIMEOUT_S)

        assert refused.status_code in (502, 503)
        assert ask(url, "GET", "/v2.1/servers")["who"] == "nova"


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_real_service_takes_the_request_that_the_proxy_hands_on(kind: str, new_service, images, tmp_path) -> None:
    random_raw(images / "web.raw", 1)
    service = new_service()
    service.start({})
    number = aggregate(service)
    body = {"cache": [{"id": ids(service)["web"]}]}
    directory = tmp_path / kind
    directory.mkdir()

    with played("nova") as nova, running(kind, directory, nova, service.url.removeprefix("http://")) as url:
        answer = requests.post(
            f"{url}/v2.1/os-aggregates/{number}/images", json=body, headers=NEWEST, timeout=TIMEOUT_S
        )

    assert answer.status_code == 202, answer.text
    assert answer.headers["X-Precache-Job-Id"]
