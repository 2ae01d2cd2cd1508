"""Answers of which only the beginning arrives, and answers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from keystoneauth1.session import Session as KeystoneSession

from precache.cli.client.session import Session
from precache.cli.client.transport import Transport, UrllibTransport
from precache.cli.errors import AnswerLost, ServiceUnreachable
from precache.cli.openstack.transport import SessionTransport

CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
CUT_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nid: 1\r\n"


@pytest.fixture
def server(answer: bytes) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


def send(transport: UrllibTransport, url: str) -> None:
    transport.send("GET", url, {}, None)


def stream(transport: UrllibTransport, url: str) -> None:
    with transport.stream(url, {}, 10) as answer:
        list(answer.parts)


@pytest.mark.parametrize(("answer", "ask"), [(CUT, send), (CUT_CHUNK, send), (CUT_CHUNK, stream)])
def test_an_answer_that_is_cut_is_told_in_words(server: str, ask: Callable[[UrllibTransport, str], None]) -> None:
    transport = UrllibTransport(timeout_s=10, setting_of=lambda _url: "--url")

    with pytest.raises(ServiceUnreachable) as raised:
        ask(transport, server)

    assert raised.value.message == f"The connection to {server} was closed before the end of the answer"


def by_urllib() -> Transport:
    return UrllibTransport(timeout_s=10, setting_of=lambda _url: "--url")


def by_keystoneauth() -> Transport:
    return SessionTransport(session=KeystoneSession(), timeout_s=10)


@pytest.mark.parametrize("transport", [by_urllib, by_keystoneauth])
@pytest.mark.parametrize(
    ("method", "advice"),
    [("POST", "check with 'precache host show cmp-1' before you repeat it"), ("GET", "is it running, and is ")],
)
@pytest.mark.parametrize("answer", [b""])
def test_a_change_whose_answer_is_lost_may_have_been_made(
    server: str, transport: Callable[[], Transport], method: str, advice: str
) -> None:
    session = Session(transport=transport())

    with pytest.raises(AnswerLost) as raised:
        session.call(method, f"{server}/v1/hosts/cmp-1/clean")

    assert advice in str(raised.value)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 " + b"x" * 70_000])
def test_what_is_no_http_is_told_in_words(server: str) -> None:
    with pytest.raises(ServiceUnreachable) as raised:
        send(UrllibTransport(timeout_s=10, setting_of=lambda _url: "--url"), server)

    assert str(raised.value) == f"What answers at {server} is no HTTP server; is --url right?"
