"""From whom a host takes pieces, and how long a permission lasts. `test_strangers.py` has who gets none."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.swarm_authority import Authority
from precache.core.errors import PeerLost, RelayRefused
from precache.core.relays import Peer
from precache.swarm.host_trust import HostTrust
from precache.swarm.pieces_client import PiecesClient
from precache.swarm.relay_file import RelayFile
from tests.swarm_files import RELAY, image_content, peer_of, root_text, seeded_file, serving
from tests.swarm_hosts import SwarmHosts
from tests.waiting import wait_until

SWARM = SwarmHosts()
SEEDER = SWARM.host("seeder")
CONTENT = image_content("ab")


@pytest.fixture
def server(tmp_path: Path):
    file = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=root_text(SWARM, CONTENT))
    with serving(SEEDER, file) as server:
        yield server


def expired_host() -> HostTrust:
    past = MemoryClock(start=datetime.now(UTC) - timedelta(hours=5))
    swarm = SwarmHosts(clock=past)
    swarm.key = SWARM.key
    swarm.authority = Authority(keys=[SWARM.key], clock=past, certificate_lifetime=timedelta(hours=4))
    return swarm.host("one")


def receive(trust: HostTrust, peer: Peer, ticket: str, path: Path) -> None:
    into = RelayFile(path, trust, RELAY)
    into.allow_signers([SEEDER.public_key])
    PiecesClient(trust=trust, rate_now=lambda: None, silence_s=10).receive(
        peer, ticket=ticket, into=into, check=lambda: None
    )


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_relay_that_is_not_offered_is_refused(server, tmp_path: Path, caplog) -> None:
    server.withdraw(RELAY)

    with pytest.raises(PeerLost, match=r"403 .*relay-1 is not offered here to host one"):
        receive(SWARM.host("one"), peer_of(server, "seeder"), SWARM.ticket(RELAY, "one"), tmp_path / "one")

    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("parent", ["another host", "of another authority", "expired"])
def test_a_child_takes_nothing_from_another_than_its_parent(tmp_path: Path, parent: str) -> None:
    trust = {
        "another host": SWARM.host("seeder2"),
        "of another authority": SwarmHosts().host("seeder"),
        "expired": expired_host(),
    }[parent]
    file = seeded_file(tmp_path / "seeder", CONTENT, trust)
    trust._installed = dataclasses.replace(trust._installed, ends_at=datetime.now(UTC) + timedelta(hours=1))

    with serving(trust, file) as server, pytest.raises(PeerLost, match=r"is host seeder2|certificate is not accepted"):
        receive(SWARM.host("one"), peer_of(server, "seeder"), SWARM.ticket(RELAY, "one"), tmp_path / "one")

    assert not (tmp_path / "one").read_bytes()


def test_a_host_without_a_certificate_neither_serves_nor_asks(tmp_path: Path, caplog) -> None:
    bare = HostTrust(host="bare", cell=SEEDER._cell, clock=SWARM.clock)
    with serving(bare) as server:
        with pytest.raises(PeerLost, match="it closed the connection before it answered; its log says why"):
            receive(SWARM.host("one"), peer_of(server, "bare"), "ticket", tmp_path / "one")
        assert "it has no certificate from a conductor yet" in warnings_of(caplog)[0]

        with pytest.raises(RelayRefused):
            receive(bare, peer_of(server, "bare"), "ticket", tmp_path / "bare")


def test_a_ticket_that_runs_out_does_not_end_what_is_being_sent(tmp_path: Path) -> None:
    """The clock of the hosts passes the end of the ticket after the request."""
    clock = MemoryClock(start=datetime.now(UTC))
    swarm = SwarmHosts(clock=clock)
    seeder, one = swarm.host("seeder"), swarm.host("one")
    file = seeded_file(tmp_path / "seeder", CONTENT, seeder)
    into = RelayFile(tmp_path / "one", one, RELAY)
    into.allow_signers([seeder.public_key])
    ticket = swarm.ticket(RELAY, "one", valid_for=timedelta(minutes=1))
    client = PiecesClient(trust=one, rate_now=lambda: None, silence_s=10)
    with serving(seeder, file) as server, ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.receive, peer_of(server, "seeder"), ticket=ticket, into=into, check=lambda: None)
        wait_until(lambda: into.is_whole)
        clock.advance(timedelta(minutes=2))
        file.set_root(root_text(swarm, CONTENT))
        future.result(20)

        with pytest.raises(PeerLost, match="no valid ticket"):
            client.receive(peer_of(server, "seeder"), ticket=ticket, into=into, check=lambda: None)

    assert into.agrees
