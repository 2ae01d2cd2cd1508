"""Bodies without an announced length, over a real socket: the server has to undo the chunks, the limit must hold."""

from __future__ import annotations

import http.client
import json
import threading

import pytest
from cheroot import wsgi

from precache.api.noauth import noauth
from tests.http.world import DEBIAN, World

HEADERS = {"OpenStack-API-Version": "compute 2.81", "Content-Type": "application/json"}
PATH = "/compute/v2.1/os-aggregates/1/images"


@pytest.fixture
def connection():
    server = wsgi.Server(("127.0.0.1", 0), noauth(World().app), numthreads=1, shutdown_timeout=1)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    opened = http.client.HTTPConnection("127.0.0.1", server.bind_addr[1], timeout=10)
    yield opened
    opened.close()
    server.stop()
    thread.join(10)


def send(connection, blocks):
    connection.request("POST", PATH, body=iter(blocks), headers=HEADERS, encode_chunked=True)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_chunked_body_is_read(connection):
    body = json.dumps({"cache": [{"id": DEBIAN}]}).encode()

    status, content = send(connection, [body[:10], body[10:]])

    assert (status, content) == (202, b"")


def test_chunked_body_beyond_the_limit_is_refused_and_the_connection_stays_in_step(connection):
    status, content = send(connection, [b"x" * 1500] * 4)
    next_status, _ = send(connection, [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])

    assert status == 413
    assert json.loads(content)["overLimit"]["code"] == 413
    assert next_status == 202


def test_announced_body_beyond_the_limit_is_refused_and_the_connection_stays_in_step(connection):
    connection.request("POST", PATH, body=b"x" * 5000, headers=HEADERS)
    answer = connection.getresponse()
    answer.read()
    next_status, _ = send(connection, [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])

    assert answer.status == 413
    assert next_status == 202


def test_body_sent_to_no_path_leaves_the_connection_in_step(connection):
    connection.request("POST", "/nowhere", body=iter([b"GET / HTTP/1.1\r\n\r\n"]), headers=HEADERS, encode_chunked=True)
    answer = connection.getresponse()
    answer.read()
    next_status, _ = send(connection, [json.dumps({"cache": [{"id": DEBIAN}]}).encode()])

    assert answer.status == 404
    assert next_status == 202
