"""The limits of the server, and callers that do not keep to the protocol."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from precache.background.thread_priority import ThreadPriority
from precache.core.errors import PortsUnusable
from precache.swarm.offers import MOST_HANDSHAKES
from precache.swarm.pieces_request import ServingLimits
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import MOST_HAVE_BYTES
from tests.swarm_files import RELAY, batch_of, image_content, pieces_of, seeded_file, serving
from tests.swarm_hosts import SwarmHosts
from tests.waiting import wait_until

SWARM = SwarmHosts()
SEEDER = SWARM.host("seeder")
HOSTS = [SWARM.host(name) for name in ("one", "two", "three")]
CONTENT = image_content("ab" * 8)


@pytest.fixture
def file(tmp_path: Path):
    """Return a file whose root is not known yet, so that its streams do not end."""
    file = seeded_file(tmp_path / "file", CONTENT, SEEDER)
    yield file
    file.close()


@contextlib.contextmanager
def connected(server: PiecesServer, host: int = 0) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock,
        HOSTS[host].client_context().wrap_socket(sock) as tls,
    ):
        yield tls


def open_connection(stack: contextlib.ExitStack, server: PiecesServer, source: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), 20, source_address=(source, 0))
    return stack.enter_context(contextlib.closing(sock))


def request(host: int = 0, *, method: str = "POST", path: str = f"/v1/relays/{RELAY}/pieces", more: str = "") -> bytes:
    ticket = SWARM.ticket(RELAY, HOSTS[host].host)
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nPrecache-Ticket: {ticket}\r\n{more}\r\n".encode()


def read_all(sock: ssl.SSLSocket) -> bytes:
    """Return what comes until the server closes the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(1 << 16):
            got += part
    return got


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(method="GET"), 501),
        (request(path="/"), 404),
        (request(path=f"/v1/relays/{RELAY}/../pieces"), 404),
        (request(more="Transfer-Encoding: chunked\r\n"), 411),
        (request(more="Content-Length: -1\r\n"), 411),
        (request(more=f"Content-Length: {MOST_HAVE_BYTES + 1}\r\n"), 413),
        (request(more=f"X: {'x' * 70_000}\r\n"), 431),
        (request(more="X: x\r\n" * 101), 431),
        (request(path="/" + "x" * 70_000), 414),
        (b"\0\1\2\r\n\r\n", 400),
    ],
)
def test_a_request_that_is_none_is_refused_in_one_line(file, caplog, data: bytes, status: int) -> None:
    with serving(SEEDER, file) as server, connected(server) as sock:
        sock.sendall(data)
        sock.settimeout(5)
        answer = sock.recv(1 << 16)

        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert server.serving(RELAY).sent_bytes == 0
    (line,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert line.startswith("A request from 127.0.0.1 was refused: ")


def test_no_more_hosts_are_served_than_allowed(file: RelayFile) -> None:
    with serving(SEEDER, file, max_connections=2) as server, contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(connected(server, host)) for host in range(3))
        for host, sock in enumerate((first, second)):
            sock.sendall(request(host))
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        third.sendall(request(2))
        assert third.recv(1000).startswith(b"HTTP/1.1 503 ")

        first.close()
        wait_until(lambda: server.serving(RELAY).hosts == ("two",))
        with connected(server, 2) as again:
            again.sendall(request(2))
            assert again.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_host_that_takes_nothing_is_cut_off(tmp_path: Path, caplog) -> None:
    """What the kernel takes is less than the file; meanwhile another host gets everything."""
    content = image_content("abcdefgh" * 48)
    file = seeded_file(tmp_path / "big", content, SEEDER)
    with serving(SEEDER, file, send_timeout_s=0.2) as server, connected(server) as idle, connected(server, 1) as other:
        idle.sendall(request())
        other.sendall(request(1))
        got = 0
        while got < len(content):
            got += len(other.recv(1 << 16))

        wait_until(lambda: server.serving(RELAY).hosts == ("two",))
        assert server.serving(RELAY).sent_bytes < 2 * len(content)
    assert "Host one was cut off" in caplog.text
    file.close()


@pytest.mark.parametrize("silent_in", ["handshake", "head", "have-list"])
def test_a_caller_that_falls_silent_in_its_request_is_cut_off(file: RelayFile, silent_in: str) -> None:
    limits = {"handshake_timeout_s": 0.1 if silent_in == "handshake" else 20, "request_timeout_s": 0.1}
    with serving(SEEDER, file, send_timeout_s=20, **limits) as server:
        if silent_in == "handshake":
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
                assert plain.recv(10) == b""
            return
        with connected(server) as sock:
            sock.sendall(b"POST /v1" if silent_in == "head" else request(more="Content-Length: 800\r\n") + b"x")
            assert read_all(sock) == b""


def test_callers_without_a_certificate_keep_no_certified_host_out(file: RelayFile, caplog) -> None:
    with serving(SEEDER, file, max_connections=1, handshake_timeout_s=20) as server, contextlib.ExitStack() as stack:
        strangers = [open_connection(stack, server) for _ in range(2 * MOST_HANDSHAKES)]
        strangers[-1].sendall(b"\x16\x03\x01\x02")

        with connected(server) as sock:
            sock.sendall(request())
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert strangers[0].recv(10) == b""
    # At the end of the block a stranger may be refused for another reason: its connection ends.
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert sum("it was the oldest of 32 that have shown no certificate" in line for line in lines) == 1


def test_one_address_takes_no_place_from_another(file: RelayFile) -> None:
    with serving(SEEDER, file, handshake_timeout_s=20) as server, contextlib.ExitStack() as stack:
        other = open_connection(stack, server, source="127.0.0.2")
        strangers = [open_connection(stack, server) for _ in range(MOST_HANDSHAKES + 1)]

        assert strangers[0].recv(10) == b""
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.recv(10)


def test_hosts_that_do_not_ask_keep_no_other_host_out(file: RelayFile) -> None:
    with serving(SEEDER, file, max_connections=1, request_timeout_s=20) as server, contextlib.ExitStack() as stack:
        for _ in range(70):
            stack.enter_context(connected(server))

        with connected(server, 1) as sock:
            sock.sendall(request(1))
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_bytes_flow_on_in_small_steps_under_a_limit(file: RelayFile) -> None:
    """While the limit holds a piece back the receiver hears that the parent lives."""
    with serving(SEEDER, file, upload_rate=lambda: 1000) as server, connected(server) as sock:
        sock.sendall(request())
        got, began = b"", time.monotonic()
        while got.count(b"\r\nD\r\n\x03") < 3:
            got += sock.recv(1 << 16)

    assert time.monotonic() - began < 5
    assert len(got) < 2 * len(pieces_of(CONTENT)[0])


def test_only_the_threads_that_send_have_the_lower_priority(file: RelayFile) -> None:
    before, others = os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), threading.enumerate()
    with serving(SEEDER, file, priority=ThreadPriority(17)) as server, connected(server) as sock:
        sock.sendall(request())
        assert sock.recv(1000)
        new = [each for each in threading.enumerate() if each not in others]
        senders = [each for each in new if each.name.startswith("pieces-to-")]

        assert [os.getpriority(os.PRIO_PROCESS, each.native_id) for each in senders] == [17]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_host_that_asks_a_moment_too_early_waits_for_the_offer(file: RelayFile) -> None:
    with serving(SEEDER, offer_wait_s=20) as server, connected(server) as sock:
        sock.sendall(request())
        wait_until(lambda: any(each.name.startswith("pieces-to-") for each in threading.enumerate()))

        server.offer(RELAY, file)

        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")


class TestPorts:
    LIMITS = ServingLimits(max_connections=1, upload_rate=lambda: None)

    def test_the_first_free_port_of_the_range_is_taken(self) -> None:
        with contextlib.ExitStack() as stack:
            taken, first = free_pair(stack)
            taken.listen()
            server = PiecesServer(trust=SEEDER, address="127.0.0.1", ports=(first, first + 1), limits=self.LIMITS)
            assert server.port == 0

            server.start()

            assert server.port == first + 1
            server.stop()
            server.stop()
            assert server.port == 0

    def test_no_free_port_is_said_with_the_option(self) -> None:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            server = PiecesServer(trust=SEEDER, address="127.0.0.1", ports=(port, port), limits=self.LIMITS)

            with pytest.raises(
                PortsUnusable, match=rf"No port from {port} to {port} .*all are in use.*\[swarm\] ports"
            ):
                server.start()

    def test_an_address_of_another_machine_is_said(self) -> None:
        server = PiecesServer(trust=SEEDER, address="192.0.2.1", ports=(1025, 1030), limits=self.LIMITS)

        with pytest.raises(PortsUnusable, match=r"192\.0\.2\.1 .*assign"):
            server.start()


def free_pair(stack: contextlib.ExitStack) -> tuple[socket.socket, int]:
    """Return a socket bound to a port whose successor is free."""
    while True:
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with contextlib.suppress(OSError, OverflowError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 1))
            stack.callback(bound.close)
            return bound, port
        bound.close()


def test_a_piece_that_comes_is_sent_at_once(tmp_path: Path) -> None:
    growing = RelayFile(tmp_path / "growing", SEEDER, RELAY)
    with serving(SEEDER, growing) as server, connected(server) as sock:
        sock.sendall(request())
        assert sock.recv(1000)
        growing.add_hashes(batch_of(CONTENT, seeder=SEEDER))
        growing.add_piece(1, pieces_of(CONTENT)[1])

        got = b""
        while pieces_of(CONTENT)[1] not in got:
            got += sock.recv(1 << 16)
    growing.close()
