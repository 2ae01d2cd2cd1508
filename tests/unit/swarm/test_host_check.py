"""Whether a host reaches another one's port, with every way in which it may not."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest

from precache.adapters.clock_system import SystemClock
from precache.core.relays import Peer
from precache.swarm.host_check import HostCheck
from precache.swarm.host_trust import HostTrust
from tests.swarm_hosts import CELL, SwarmHosts

SWARM = SwarmHosts()
TIMEOUT = timedelta(seconds=2)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Return an address of which one connection is served."""

    def accept() -> None:
        with suppress(OSError), listener.accept()[0] as plain:
            serve(plain)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def answers_as(trust: HostTrust, answer: bytes = b"HTTP/1.1 404 Not Found\r\n\r\n") -> Callable[[socket.socket], None]:
    def serve(plain: socket.socket) -> None:
        with suppress(ssl.SSLError), trust.server_context().wrap_socket(plain, server_side=True) as sock:
            sock.recv(1000)
            sock.sendall(answer)

    return serve


def why_unreached(trust: HostTrust, serve: Callable[[socket.socket], None]) -> str:
    with listening(serve) as address:
        return HostCheck(trust=trust, address=lambda: "", timeout=TIMEOUT)(Peer("two", address)).unreached


def test_a_host_of_the_same_authority_is_reached() -> None:
    assert why_unreached(SWARM.host("one"), answers_as(SWARM.host("two"))) == ""


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (answers_as(SWARM.host("three")), "another host than two answers there"),
        (answers_as(SWARM.host("two", cell="cell2")), "another host than two answers there"),
        (answers_as(SWARM.host("two"), b""), "it closed the connection without an answer"),
        (answers_as(SwarmHosts().host("two")), "does not accept the other's certificate"),
        (lambda plain: plain.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "certificate"),
    ],
    ids=["another host", "another cell", "no answer", "another authority", "no TLS"],
)
def test_what_is_there_instead_is_said(serve: Callable[[socket.socket], None], why: str) -> None:
    assert why in why_unreached(SWARM.host("one"), serve)


def test_a_host_that_is_not_accepted_is_told_so() -> None:
    """It would accept the other: it trusts both authorities."""
    other = SwarmHosts()
    lenient = HostTrust(host="one", cell=CELL, clock=SystemClock())
    given = SWARM.authority.certify("one", CELL, "site1", lenient.signing_request())
    lenient.install(type(given)(given.certificate, given.authority + other.key.certificate_pem, given.ends_at))

    assert "does not accept the other's certificate" in why_unreached(lenient, answers_as(other.host("two")))


def test_a_port_at_which_nothing_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

    state = HostCheck(trust=SWARM.host("one"), address=lambda: "192.0.2.7:8785")(Peer("two", address))

    assert state.unreached == "Connection refused"
    assert state.address == "192.0.2.7:8785"
    assert state.certified_until is not None


def test_a_host_without_a_certificate_says_so() -> None:
    trust = HostTrust(host="one", cell=CELL, clock=SystemClock())

    state = HostCheck(trust=trust, address=lambda: "")(Peer("two", "127.0.0.1:1"))

    assert state.certified_until is None
    assert state.unreached == "it has no certificate from a conductor yet"
