"""Who asks a host for pieces and may not have them gets no byte, and the host logs one line with the reason."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.clock_system import SystemClock
from precache.adapters.swarm_authority import Authority, AuthorityKey
from precache.core.relays import Peer
from precache.swarm.host_check import HostCheck
from precache.swarm.host_trust import HostTrust
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.wire import TICKET_HEADER
from tests.swarm_files import RELAY, image_content, root_text, seeded_file, serving
from tests.swarm_hosts import CELL, SITE, SwarmHosts
from tests.waiting import wait_until

SWARM = SwarmHosts()
CONTENT = image_content("abc")
PARENT = SWARM.host("parent")
CHILD = SWARM.host("child")


@pytest.fixture
def parent(tmp_path):
    file = seeded_file(tmp_path / "image", CONTENT, PARENT, root=root_text(SWARM, CONTENT))
    with serving(PARENT, file) as server:
        yield server
    file.close()


def ask(parent: PiecesServer, context: ssl.SSLContext, ticket: str = "", relay: str = RELAY) -> tuple[int, bytes]:
    """Return the status and the first bytes of the answer; 0 and none if the connection is refused."""
    with socket.create_connection(("127.0.0.1", parent.port), 5) as plain:
        try:
            with context.wrap_socket(plain) as sock:
                head = f"POST /v1/relays/{relay}/pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                sock.sendall(f"{head}{TICKET_HEADER}: {ticket}\r\n\r\n".encode())
                answer = http.client.HTTPResponse(sock)
                answer.begin()
                return answer.status, answer.read(1000)
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return 0, b""


def _expired() -> ssl.SSLContext:
    clock = MemoryClock(start=datetime.now(UTC) - timedelta(hours=2))
    return _certified_by(Authority(keys=[SWARM.key], clock=clock, certificate_lifetime=timedelta(hours=1)), clock)


def _self_made() -> ssl.SSLContext:
    """The names of a real host, and of its authority; signed with a key that is not the authority's."""
    forged = AuthorityKey(AuthorityKey.create(now=datetime.now(UTC)).key, SWARM.key.certificate, SWARM.key.signs_from)
    clock = SystemClock()
    return _certified_by(Authority(keys=[forged], clock=clock, certificate_lifetime=timedelta(hours=1)), clock)


def _certified_by(authority: Authority, clock: MemoryClock | SystemClock) -> ssl.SSLContext:
    trust = HostTrust(host="child", cell=CELL, clock=clock)
    trust.install(authority.certify("child", CELL, SITE, trust.signing_request()))
    return trust.client_context()


def _without() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_host_that_is_meant_gets_the_pieces(parent, caplog) -> None:
    status, content = ask(parent, CHILD.client_context(), SWARM.ticket(RELAY, "child"))

    assert status == 200
    assert content
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (_without, "did not return a certificate"),
        (lambda: SwarmHosts().host("child").client_context(), "self-signed certificate in certificate chain"),
        (_expired, "certificate has expired"),
        (_self_made, "certificate signature failure"),
    ],
    ids=["no certificate", "another or an older authority", "expired", "self-made"],
)
def test_who_has_no_certificate_of_the_authority_gets_no_byte(
    parent, caplog, context: Callable[[], ssl.SSLContext], why: str
) -> None:
    stranger = context()
    stranger.verify_mode = ssl.CERT_NONE  # it would accept any host

    assert ask(parent, stranger, SWARM.ticket(RELAY, "child")) == (0, b"")
    wait_until(lambda: lines(caplog))
    [line] = lines(caplog)
    assert why in line
    assert "127.0.0.1" in line
    assert parent.serving(RELAY).sent_bytes == 0


@pytest.mark.parametrize(
    ("host", "ticket", "relay", "why"),
    [
        (CHILD, "", RELAY, "shows no valid ticket"),
        (CHILD, SWARM.ticket(RELAY, "child", valid_for=timedelta(seconds=-1)), RELAY, "shows no valid ticket"),
        (CHILD, SwarmHosts().ticket(RELAY, "child"), RELAY, "shows no valid ticket"),
        (CHILD, SWARM.ticket(RELAY, "other"), RELAY, "shows the ticket of host other"),
        (CHILD, SWARM.ticket(RELAY, "child"), "relay-2", "shows a ticket for another image"),
        (CHILD, SWARM.ticket("relay-2", "child"), "relay-2", "relay-2 is not offered here"),
        (CHILD, SWARM.ticket(RELAY, "child", sites=("site2",)), RELAY, "does not name this host's site"),
        (SWARM.host("child", site="site2"), SWARM.ticket(RELAY, "child"), RELAY, "is in site site2"),
        (SWARM.host("child", cell="cell2"), SWARM.ticket(RELAY, "child"), RELAY, "it is host child of cell cell2"),
    ],
    ids=[
        "no ticket", "ticket over", "ticket of another authority", "ticket of another host", "another image",
        "an image that is not here", "ticket for another site", "host of another site", "host of another cell",
    ],
)  # fmt: skip
def test_a_host_without_the_right_ticket_gets_no_byte(parent, caplog, host, ticket, relay, why) -> None:
    status, content = ask(parent, host.client_context(), ticket, relay)

    assert status == 403
    assert why.encode() in content
    [line] = lines(caplog)
    assert why in line
    assert parent.serving(RELAY).sent_bytes == 0


def test_the_check_of_an_operator_is_no_stranger(parent, caplog) -> None:
    state = HostCheck(trust=CHILD, address=lambda: "")(Peer("parent", f"127.0.0.1:{parent.port}"))

    assert state.unreached == ""
    assert lines(caplog) == []
