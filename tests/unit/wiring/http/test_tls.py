"""The embedded HTTP server with TLS, on a real socket."""

import http.client
import os
import socket
import ssl
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization

from precache.core.errors import InvalidConfiguration
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.server import HttpServer
from precache.wiring.http.tls import ServerTls
from tests.lab.certificates import Authority

MIB = 1024**2
PATIENCE = timedelta(seconds=5)


def application(environ, start_response):
    """Answer /<pieces of 1 MiB>, and what was sent with its scheme otherwise."""
    pieces = environ["PATH_INFO"].strip("/")
    if pieces.isdigit():
        start_response("200 OK", [("Content-Length", str(int(pieces) * MIB))])
        return (bytes([number]) * MIB for number in range(int(pieces)))
    body = f"{environ['wsgi.url_scheme']} ".encode() + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def certificate(authority):
    return authority.certificate("127.0.0.1")


@pytest.fixture
def address(certificate):
    """The address of a server with two threads."""
    server = HttpServer(address=ListenAddress("127.0.0.1", 0), threads=2, tls_files=(certificate.cert, certificate.key))
    url = urlsplit(server.bind())
    assert url.scheme == "https"
    server.start({"/": application})
    yield url.hostname, url.port
    server.stop(PATIENCE)


@pytest.fixture
def trust(authority):
    return ssl.create_default_context(cafile=authority.cafile)


@pytest.fixture
def connect(address, trust):
    """Return what opens an encrypted connection."""
    opened = []

    def open_one():
        one = trust.wrap_socket(socket.create_connection(address, timeout=30), server_hostname=address[0])
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


def fetched(address, trust, path, body=None):
    connection = http.client.HTTPSConnection(*address, timeout=5, context=trust)  # silence is waited for twice as long
    connection.request("POST" if body else "GET", path, body)
    return connection.getresponse().read()


def all_of(connection):
    received = bytearray()
    while piece := connection.recv(65536):
        received += piece
    return bytes(received)


def test_large_bodies_arrive_whole_both_ways_and_the_connection_stays_usable(address, trust):
    connection = http.client.HTTPSConnection(*address, timeout=30, context=trust)

    for path, sent in (("/5", None), ("/echo", os.urandom(3 * MIB)), ("/0", None), ("/2", None), ("/echo", b"short")):
        connection.request("POST" if sent else "GET", path, sent)
        expected = b"https " + sent if sent else b"".join(bytes([n]) * MIB for n in range(int(path[1:])))
        assert connection.getresponse().read() == expected


def test_requests_that_arrive_in_one_record_are_all_answered(connect):
    connection = connect()

    connection.sendall(b"GET /a HTTP/1.1\r\n\r\n" * 3 + b"GET /b HTTP/1.0\r\n\r\n")

    assert all_of(connection).count(b"https ") == 4


def test_requests_in_records_that_arrive_together_are_all_answered(connect):
    connection = connect()

    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    for request in (b"GET /a HTTP/1.1\r\n\r\n", b"GET /b HTTP/1.1\r\n\r\nGET", b" /c HTTP/1.0\r\n\r\n"):
        connection.sendall(request)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    assert all_of(connection).count(b"https ") == 3


def test_a_request_may_come_in_pieces(connect):
    connection = connect()

    for part in (b"GET /a HT", b"TP/1.0\r", b"\n\r", b"\n"):
        connection.sendall(part)

    assert all_of(connection).endswith(b"https ")


@pytest.mark.parametrize(
    "sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01\x00\x05abcde", b"\x00" * 99]
)
def test_clients_without_a_handshake_do_not_block_others(address, trust, sent):
    silent = [socket.create_connection(address, timeout=30) for _ in range(4)]  # twice as many as there are threads
    for one in silent:
        one.sendall(sent)

    assert fetched(address, trust, "/a") == b"https "
    for one in silent:
        one.close()


def test_clients_that_fall_silent_after_the_handshake_do_not_block_others(address, trust, connect):
    for _ in range(4):
        connect().sendall(b"GET /a HTTP/1.1\r\nHost: he")

    assert fetched(address, trust, "/a") == b"https "


def test_a_client_that_speaks_plain_http_gets_an_error(address):
    with socket.create_connection(address, timeout=30) as plain:
        plain.sendall(b"GET /a HTTP/1.0\r\n\r\n")

        answer = all_of(plain)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"use https" in answer


def test_an_answer_before_the_body_can_be_read(connect):
    connection = connect()

    connection.sendall(b"POST /0 HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)

    assert all_of(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_disconnects_during_an_answer_does_not_affect_others(address, trust, connect, caplog):
    leaving = connect()
    leaving.sendall(b"GET /200 HTTP/1.0\r\n\r\n")
    leaving.recv(100)
    leaving.close()

    assert fetched(address, trust, "/1") == bytes(MIB)
    assert "Traceback" not in caplog.text


def test_the_stream_ends_with_tlss_own_end(connect):
    connection = connect()
    connection.suppress_ragged_eofs = False

    connection.sendall(b"GET /2 HTTP/1.0\r\n\r\n")

    assert len(all_of(connection)) > 2 * MIB


def test_a_renewed_certificate_is_used_for_new_connections(address, trust, authority, connect, certificate):
    first = connect().getpeercert()["serialNumber"]

    authority.certificate("127.0.0.1")

    assert connect().getpeercert()["serialNumber"] != first
    certificate.key.write_text("broken")
    second = connect().getpeercert()["serialNumber"]
    assert connect().getpeercert()["serialNumber"] == second != first


def test_files_that_cannot_be_used_are_reported_at_the_start(authority, certificate, tmp_path):
    other = authority.certificate("127.0.0.2")
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )

    for cert_file, key_file, reason in (
        (certificate.cert, other.key, "cannot be used together.*KEY_VALUES_MISMATCH"),
        (certificate.cert, locked, "cannot be used together.*without a passphrase"),
        (certificate.key, certificate.key, "cannot be used together"),
        (certificate.cert, tmp_path / "missing.key", "cannot be read: No such file"),
    ):
        with pytest.raises(InvalidConfiguration, match=reason) as caught:
            ServerTls(cert_file=cert_file, key_file=key_file)
        assert "\n" not in str(caught.value)
