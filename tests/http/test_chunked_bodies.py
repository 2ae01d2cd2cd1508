"""Bodies without an announced length, over a real socket: the server has to undo the chunks, the limit must hold."""

from __future__ import annotations

import http.client
import json
import socket
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from precache.api.identity import noauth
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.server import HttpServer
from tests.http.world import DEBIAN, World

HEADERS = {"OpenStack-API-Version": "compute 2.81", "Content-Type": "application/json"}
PATH = "/compute/v2.1/os-aggregates/1/images"


@pytest.fixture
def connection():
    server = HttpServer(address=ListenAddress("127.0.0.1", 0), threads=1)
    url = server.bind()
    server.start({"/": noauth(World().app)})
    opened = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    yield opened
    opened.close()
    server.stop(timedelta(seconds=10))


def send(connection, blocks):
    connection.request("POST", PATH, body=iter(blocks), headers=HEADERS, encode_chunked=True)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_chunked_body_is_read(connection):
    body = json.dumps({"cache": [{"id": DEBIAN}]}).encode()

    status, content = send(connection, [body[:10], body[10:]])

    assert (status, content) == (202, b"")


def test_chunked_body_beyond_the_limit_is_refused_and_the_next_request_gets_its_own_answer(connection):
    status, content = send(connection, [b"x" * 1500] * 4)
    next_status, _ = send(connection, [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])

    assert status == 413
    assert json.loads(content)["overLimit"]["code"] == 413
    assert next_status == 202


def test_announced_body_beyond_the_limit_is_refused_and_the_next_request_gets_its_own_answer(connection):
    connection.request("POST", PATH, body=b"x" * 5000, headers=HEADERS)
    answer = connection.getresponse()
    answer.read()
    next_status, _ = send(connection, [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])

    assert answer.status == 413
    assert next_status == 202


def test_body_sent_to_an_unknown_path_is_not_read_as_the_next_request(connection):
    connection.request("POST", "/nowhere", body=iter([b"GET / HTTP/1.1\r\n\r\n"]), headers=HEADERS, encode_chunked=True)
    answer = connection.getresponse()
    answer.read()
    next_status, _ = send(connection, [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])

    assert answer.status == 404
    assert next_status == 202


def refused(connection, rest):
    """Send a request whose body is this, and nothing after it; return the answer."""
    connection.connect()
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nOpenStack-API-Version: compute 2.81\r\n"
    connection.sock.sendall(head.encode() + rest)
    connection.sock.shutdown(socket.SHUT_WR)
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(
    "chunks", [b"ZZZ\r\nab\r\n0\r\n\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"-5\r\nab\r\n0\r\n\r\n", b"\r\n"]
)
def test_invalid_chunks_are_malformed(connection, chunks, caplog):
    status, content = refused(connection, b"Transfer-Encoding: chunked\r\n\r\n" + chunks)

    assert (status, content["badRequest"]["message"]) == (400, "Malformed request body")
    assert "Traceback" not in caplog.text
    assert send(connection_like(connection), [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])[0] == 202


def test_a_body_that_breaks_off_gets_an_error(connection, caplog):
    status, content = refused(connection, b"Content-Length: 500\r\n\r\nx")

    assert (status, content["computeFault"]["code"]) == (408, 408)
    assert "Traceback" not in caplog.text


def connection_like(connection):
    return http.client.HTTPConnection(connection.host, connection.port, timeout=10)
