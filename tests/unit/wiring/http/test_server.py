"""The embedded HTTP server on a real socket."""

import http.client
import json
import socket
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from precache.core.errors import AddressUnavailable
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.connection import MOST_CONNECTIONS
from precache.wiring.http.server import HttpServer

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


def test_a_client_that_disconnects_does_not_affect_others(address, capfd):
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

        with pytest.raises(AddressUnavailable, match=f"cannot listen on 127.0.0.1 port {port}: .*in use"):
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


class TestHalfRequests:
    """Clients that send the beginning of a request, and then nothing."""

    @pytest.fixture
    def half(self, address):
        """Return what opens so many connections and sends the same on each of them."""
        opened = []
        host, _, port = address.partition(":")

        def send(data, number=4):  # twice as many as there are threads
            for _ in range(number):
                one = socket.create_connection((host, int(port)), timeout=30)
                opened.append(one)
                one.sendall(data)
            return opened

        yield send
        for one in opened:
            one.close()

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"P",
            b"GET /0 HT",
            b"GET /0 HTTP/1.1\r\nHost: here\r\n",
            b"POST /0 HTTP/1.1\r\nContent-Length: 500\r\n\r\nx",
            b"POST /0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        ],
    )
    def test_they_hold_no_thread(self, address, half, data):
        half(data)

        connection = http.client.HTTPConnection(address, timeout=5)  # half as long as a silent one is waited for
        connection.request("GET", "/1")

        assert connection.getresponse().read() == expected(1)

    def test_the_rest_may_come_late_and_in_pieces(self, half):
        (one,) = half(b"GET /0 HTTP/1.0\r", 1)

        for part in (b"\n", b"Host: here\r\n\r", b"\n"):
            one.sendall(part)

        assert all_of(one).startswith(b"HTTP/1.1 200 OK\r\n")

    def test_an_answer_before_the_body_can_be_read_and_ends_the_connection(self, half):
        (one,) = half(b"POST /0 HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n", 1)

        one.sendall(b"x" * 3_000_000 + b"GET /1 HTTP/1.1\r\n\r\n")

        answer = all_of(one)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1") == 1

    def test_an_unread_body_that_has_arrived_costs_no_connection(self, half):
        (one,) = half(b"POST /0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /0 HTTP/1.0\r\n\r\n", 1)

        assert all_of(one).count(b"HTTP/1.1 200 OK\r\n") == 2

    def test_more_connections_than_are_kept_cost_those_that_wait_longest(self, address, half):
        oldest, *_ = half(b"GET", MOST_CONNECTIONS + 1)

        assert is_cut(oldest)
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("GET", "/1")
        assert connection.getresponse().read() == expected(1)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET //v1/jobs HTTP/1.1\r\n\r\n", 400),
        (b"GET http://there/v1/jobs HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: here\n\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 413),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
    ],
)
def test_what_is_no_request_is_refused_in_json_and_not_logged(address, caplog, data, status):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as one:
        one.sendall(data)

        answer = all_of(one)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]["message"]
    assert caplog.text == ""


def test_what_is_no_request_to_the_compute_half_is_refused_in_its_shape(address):
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as one:
        one.sendall(b"GET /compute/v2.1#there HTTP/1.1\r\n\r\n")

        assert json.loads(all_of(one).partition(b"\r\n\r\n")[2])["badRequest"]["code"] == 400


def all_of(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(65536):
        received += piece
    return bytes(received)
