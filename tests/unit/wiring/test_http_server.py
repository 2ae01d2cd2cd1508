"""The embedded HTTP server on a real socket."""

import http.client
import socket
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from precache.core.errors import InvalidConfiguration
from precache.rules.listen_address import ListenAddress
from precache.wiring.http_server import HttpServer

MIB = 1024**2
PATIENCE = timedelta(seconds=5)


def application(environ, start_response):
    """Answer /<pieces of 1 MiB>, with a length unless the query says so."""
    pieces = int(environ["PATH_INFO"].strip("/") or 0)
    headers = [] if environ["QUERY_STRING"] else [("Content-Length", str(pieces * MIB))]
    start_response("200 OK", headers)
    return (bytes([number]) * MIB for number in range(pieces))


@pytest.fixture
def server():
    return HttpServer(address=ListenAddress("127.0.0.1", 0), threads=2)


@pytest.fixture
def address(server):
    url = server.bind()
    server.start({"/": application})
    yield urlsplit(url).netloc
    server.stop(PATIENCE)


def expected(pieces: int) -> bytes:
    return b"".join(bytes([number]) * MIB for number in range(pieces))


def test_large_bodies_arrive_whole_and_the_connection_stays_usable(address):
    connection = http.client.HTTPConnection(address, timeout=30)

    for pieces in (5, 0, 3):
        connection.request("GET", f"/{pieces}")
        assert connection.getresponse().read() == expected(pieces)


def test_bodies_of_unknown_length_arrive_whole(address):
    connection = http.client.HTTPConnection(address, timeout=30)

    connection.request("GET", "/4?chunked")

    assert connection.getresponse().read() == expected(4)


def test_a_client_that_reads_slowly_gets_everything(address):
    host, _, port = address.partition(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        slow.sendall(b"GET /2 HTTP/1.0\r\n\r\n")
        received = bytearray()
        while piece := slow.recv(4096):
            received += piece

    assert bytes(received).endswith(b"\r\n\r\n" + expected(2))


def test_a_client_that_goes_away_harms_nobody_else(address, capfd):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port))) as leaving:
        leaving.sendall(b"GET /200 HTTP/1.0\r\n\r\n")
        leaving.recv(100)

    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/1")

    assert connection.getresponse().read() == expected(1)
    assert "Traceback" not in capfd.readouterr().err


def test_an_address_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(InvalidConfiguration, match=f"cannot listen on 127.0.0.1 port {port}: .*in use"):
            HttpServer(address=ListenAddress("127.0.0.1", port), threads=1).bind()


def test_stop_cuts_connections_on_which_nothing_happens(address, server):
    host, _, port = address.partition(":")
    idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(5)]  # more than it has threads

    server.stop(PATIENCE)

    assert all(is_cut(connection) for connection in idle)


def is_cut(connection: socket.socket) -> bool:
    with connection:
        try:
            return not connection.recv(1)
        except ConnectionResetError:
            return True
