"""What a page in the operator's browser can do to a service without authentication: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from precache.config.load import load_config
from precache.rules.listen_address import ListenAddress
from precache.wiring.embedded_process import EmbeddedOptions, EmbeddedProcess
from precache.wiring.host_names import EmbeddedHost
from precache.wiring.state_dir import StateDir

pytestmark = pytest.mark.system

AGGREGATE = {"aggregate": {"name": "web"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """Return the URL of a running service, and the path of the data of its one image."""
    root = tmp_path_factory.mktemp("guarded")
    (root / "images").mkdir()
    (root / "images" / "secret.raw").write_bytes(b"top secret disk")
    hosts = (EmbeddedHost("cell1", "cmp-1", "fake"),)
    embedding = EmbeddedOptions(StateDir(root / "state"), ListenAddress("127.0.0.1", 0), hosts, root / "images")
    process = EmbeddedProcess(config=load_config([]), embedding=embedding)
    url = process.start()
    try:
        (image,) = requests.get(f"{url}/image/v2/images", timeout=20).json()["images"]
        yield url, f"/image{image['file']}"
    finally:
        process.stop()


def paths(file: str) -> list[str]:
    return ["/", "/healthcheck", "/v1/jobs", "/compute/v2.1/os-aggregates", "/image/v2/images", file]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.evil.example:8775"},
        {"Host": "0.0.0.0:8775"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_nothing_is_read_for_a_foreign_page(served, headers):
    url, file = served

    for path in paths(file):
        answer = requests.get(url + path, headers=headers, timeout=20)

        assert (path, answer.status_code) == (path, 403)
        assert b"secret" not in answer.content
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({}, 415),
        ({"Content-Type": "application/json", "Host": "evil.example"}, 403),
        ({"Content-Type": "application/json", "Origin": "http://127.0.0.1:1"}, 403),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_nothing_is_changed_for_a_foreign_page(served, headers, status, is_chunked):
    url, _ = served
    body = json.dumps(AGGREGATE).encode()

    answer = requests.post(
        f"{url}/compute/v2.1/os-aggregates", data=iter([body]) if is_chunked else body, headers=headers, timeout=20
    )

    assert answer.status_code == status
    assert set(answer.json()) == {"forbidden" if status == 403 else "badMediaType"}
    assert requests.get(f"{url}/compute/v2.1/os-aggregates", timeout=20).json() == {"aggregates": []}


def test_programs_and_own_pages_are_served(served):
    url, file = served
    port = url.rpartition(":")[2]
    own = [{}, {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}", "Sec-Fetch-Site": "same-origin"}]

    for headers in [*own, {"Host": "[::1]:9000"}, {"Sec-Fetch-Site": "none"}]:
        assert requests.get(url + file, headers=headers, timeout=20).content == b"top secret disk"
        created = requests.post(f"{url}/compute/v2.1/os-aggregates", json=AGGREGATE, headers=headers, timeout=20)
        assert created.status_code == 200
        gone = requests.delete(
            f"{url}/compute/v2.1/os-aggregates/{created.json()['aggregate']['id']}", headers=headers, timeout=20
        )
        assert gone.status_code == 200
