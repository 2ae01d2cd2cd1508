"""Pieces on their way from host to host, over real connections on loopback."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from precache.background.cancel_token import CancelToken
from precache.background.thread_priority import ThreadPriority
from precache.core.errors import PeerLost, Stopped
from precache.core.relays import PIECE_BYTES
from precache.core.stopping import StopReason
from precache.swarm.host_trust import HostTrust
from precache.swarm.pieces_client import PiecesClient, Received
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import DIGEST_BYTES
from tests.swarm_files import (
    RELAY,
    batch_of,
    digests_of,
    image_content,
    peer_of,
    pieces_of,
    root_text,
    seeded_file,
    serving,
)
from tests.swarm_hosts import SwarmHosts
from tests.waiting import wait_until

SWARM = SwarmHosts()
SEEDER, ONE, TWO, THREE = (SWARM.host(name) for name in ("seeder", "one", "two", "three"))
CONTENT = image_content("abzcdzefghzzij", tail_bytes=1000)
ROOT = root_text(SWARM, CONTENT)
DATA_BYTES = len(CONTENT) - 4 * PIECE_BYTES


def new_file(path: Path, trust: HostTrust) -> RelayFile:
    file = RelayFile(path, trust, RELAY)
    file.allow_signers([SEEDER.public_key])
    return file


def receive(child: HostTrust, parent: PiecesServer, host: str, into: RelayFile, **kwargs) -> list[Received]:
    """Receive everything; return what was told of the progress."""
    told: list[Received] = []
    rate_now = kwargs.pop("rate_now", lambda: None)
    PiecesClient(trust=child, rate_now=rate_now, silence_s=10).receive(
        peer_of(parent, host),
        ticket=SWARM.ticket(RELAY, child.host),
        into=into,
        check=kwargs.pop("check", lambda: None),
        on_progress=told.append,
    )
    return told


def test_pieces_pass_through_a_chain_while_they_arrive(tmp_path: Path) -> None:
    """The seeder's pieces become final one after another, and the root is known only after the last."""
    with ExitStack() as stack:
        files = [new_file(tmp_path / trust.host, trust) for trust in (SEEDER, ONE, TWO, THREE)]
        servers = [
            stack.enter_context(serving(file_trust, file))
            for file_trust, file in zip((SEEDER, ONE, TWO, THREE), files, strict=True)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(3))
        futures = [
            pool.submit(receive, trust, servers[place], files[place]._trust.host, files[place + 1])
            for place, trust in enumerate((ONE, TWO, THREE))
        ]

        for index, piece in enumerate(pieces_of(CONTENT)):
            files[0].add_hashes(batch_of(CONTENT, index, 1, seeder=SEEDER))
            files[0].add_piece(index, piece)
            wait_until(lambda index=index: files[3].has(index))
        assert not any(future.done() for future in futures)
        files[0].set_root(ROOT)

        for future in futures:
            assert future.result(20)[-1] == Received(DATA_BYTES, len(CONTENT))
        assert all(file.agrees for file in files[1:])
        assert (tmp_path / "three").read_bytes() == CONTENT


def test_a_parent_with_gaps_sends_what_it_has_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    parent, child = new_file(tmp_path / "one", ONE), new_file(tmp_path / "two", TWO)
    parent.set_root(ROOT)
    parent.add_hashes(batch_of(CONTENT, seeder=SEEDER))
    order = [14, 0, 13, 1, 12, 4, 9]
    with serving(ONE, parent) as server, ThreadPoolExecutor(1) as pool:
        future = pool.submit(receive, TWO, server, "one", child)

        for index in order:
            parent.add_piece(index, pieces_of(CONTENT)[index])
            wait_until(lambda index=index: child.has(index))
        assert not child.is_whole
        for index, piece in enumerate(pieces_of(CONTENT)):
            parent.add_piece(index, piece)
        future.result(20)

    assert child.agrees
    assert (tmp_path / "two").read_bytes() == CONTENT


def test_what_a_host_has_already_is_not_sent_again(tmp_path: Path) -> None:
    """The file of an earlier attempt: some pieces are right, one is not, and the others are missing."""
    parent = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=ROOT)
    kept = bytearray(CONTENT[: 8 * PIECE_BYTES])
    kept[3 * PIECE_BYTES] ^= 1
    (tmp_path / "one").write_bytes(kept)
    child = new_file(tmp_path / "one", ONE)
    child.add_local(0, digests_of(bytes(kept)))

    with serving(SEEDER, parent) as server:
        told = receive(ONE, server, "seeder", child)
        sent_bytes = server.serving(RELAY).sent_bytes

    assert child.agrees
    assert (tmp_path / "one").read_bytes() == CONTENT
    missing_bytes = DATA_BYTES - 5 * PIECE_BYTES
    assert told[-1] == Received(missing_bytes, len(CONTENT))
    assert missing_bytes < sent_bytes < missing_bytes * 1.01 + 1000


def test_a_host_that_has_everything_gets_the_root(tmp_path: Path) -> None:
    parent = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=ROOT)
    (tmp_path / "one").write_bytes(CONTENT)
    child = new_file(tmp_path / "one", ONE)
    child.add_local(0, digests_of(CONTENT))

    with serving(SEEDER, parent) as server:
        assert receive(ONE, server, "seeder", child)[-1].received_bytes == 0

    assert child.agrees


def test_a_host_that_knows_the_root_sends_hashes_that_no_seeder_has_signed(tmp_path: Path) -> None:
    """It has the image in its cache: it has hashed the file again, and the seeder's key is gone."""
    parent, child = new_file(tmp_path / "one", ONE), RelayFile(tmp_path / "two", TWO, RELAY)
    (tmp_path / "one").write_bytes(CONTENT)
    parent.set_root(ROOT)
    parent.add_hashes(batch_of(CONTENT, 0, 5))
    parent.add_hashes(batch_of(CONTENT, 5))
    parent.add_local(0, digests_of(CONTENT))

    with serving(ONE, parent) as server:
        receive(TWO, server, "one", child)

    assert child.agrees


def test_the_thread_that_receives_has_the_lower_priority(tmp_path: Path) -> None:
    parent, child = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=ROOT), new_file(tmp_path / "one", ONE)
    client = PiecesClient(trust=ONE, rate_now=lambda: None, priority=ThreadPriority(16))
    found: list[int] = []

    with serving(SEEDER, parent) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(
            client.receive,
            peer_of(server, "seeder"),
            ticket=SWARM.ticket(RELAY, "one"),
            into=child,
            check=lambda: None,
            on_progress=lambda _told: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())),
        ).result(20)

    assert set(found) == {16}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 16


def test_an_empty_file_arrives(tmp_path: Path) -> None:
    parent = seeded_file(tmp_path / "seeder", b"", SEEDER, root=root_text(SWARM, b""))
    child = new_file(tmp_path / "one", ONE)

    with serving(SEEDER, parent) as server:
        receive(ONE, server, "seeder", child)

    assert child.agrees


@pytest.mark.parametrize("limits", ["the sender", "the receiver"])
def test_a_limit_holds_on_either_side(tmp_path: Path, limits: str) -> None:
    parent, child = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=ROOT), new_file(tmp_path / "one", ONE)
    rate = DATA_BYTES * 4

    with serving(SEEDER, parent, upload_rate=lambda: rate if limits == "the sender" else None) as server:
        began = time.monotonic()
        receive(ONE, server, "seeder", child, rate_now=lambda: rate if limits == "the receiver" else None)

    assert time.monotonic() - began >= 0.2
    assert child.agrees


def test_a_limit_that_is_lifted_counts_no_more(tmp_path: Path) -> None:
    parent, child = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=ROOT), new_file(tmp_path / "one", ONE)
    began, lifted = threading.Event(), threading.Event()

    def rate_now() -> int | None:
        began.set()
        return None if lifted.is_set() else 1000

    with serving(SEEDER, parent) as server, ThreadPoolExecutor(1) as pool:
        future = pool.submit(receive, ONE, server, "seeder", child, rate_now=rate_now)
        assert began.wait(20)
        lifted.set()
        future.result(20)

    assert child.agrees


class TestEnds:
    @pytest.fixture
    def waiting(self, tmp_path: Path):
        """Return a server and the future of a child that has received all that there is, and waits."""
        parent, child = new_file(tmp_path / "seeder", SEEDER), new_file(tmp_path / "one", ONE)
        parent.add_hashes(batch_of(CONTENT, seeder=SEEDER))
        parent.add_piece(0, pieces_of(CONTENT)[0])
        self.token = CancelToken()
        with serving(SEEDER, parent) as server, ThreadPoolExecutor(1) as pool:
            future = pool.submit(
                receive, ONE, server, "seeder", child, check=lambda: self.token.check("the transfer of the image")
            )
            wait_until(lambda: child.has(0))
            yield server, future
        parent.close()
        child.close()

    def test_a_relay_that_is_withdrawn_ends_at_once(self, waiting) -> None:
        server, future = waiting
        assert server.serving(RELAY).hosts == ("one",)

        server.withdraw(RELAY)

        with pytest.raises(PeerLost):
            future.result(1)
        wait_until(lambda: not server.serving(RELAY).hosts)
        assert server.serving(RELAY).sent_bytes == 0

    def test_another_file_of_the_relay_ends_what_is_sent_of_the_first(self, waiting, tmp_path: Path) -> None:
        server, future = waiting

        server.offer(RELAY, seeded_file(tmp_path / "again", CONTENT, SEEDER, root=ROOT))

        with pytest.raises(PeerLost):
            future.result(1)

    def test_a_server_that_stops_ends_all(self, waiting) -> None:
        server, future = waiting

        server.stop()

        with pytest.raises(PeerLost):
            future.result(2)

    def test_a_file_that_is_closed_ends_its_streams(self, waiting) -> None:
        server, future = waiting

        server._offers._files[RELAY].close()

        with pytest.raises(PeerLost):
            future.result(1)

    def test_the_receiver_stops_when_it_is_told(self, waiting) -> None:
        _server, future = waiting
        began = time.monotonic()

        self.token.cancel(StopReason.SHUTDOWN)

        with pytest.raises(Stopped):
            future.result(2)
        assert time.monotonic() - began < 0.5

    def test_a_host_that_connects_again_takes_the_place_of_its_earlier_connection(
        self, waiting, tmp_path: Path
    ) -> None:
        server, future = waiting
        stop = threading.Event()
        again = new_file(tmp_path / "again", ONE)

        def check() -> None:
            if stop.is_set():
                raise Stopped("the second one")

        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(receive, ONE, server, "seeder", again, check=check)
            with pytest.raises(PeerLost):
                future.result(5)
            wait_until(lambda: again.has(0))
            assert server.serving(RELAY).hosts == ("one",)
            stop.set()
            with pytest.raises(Stopped):
                second.result(5)


def test_a_piece_that_the_file_lost_ends_the_stream(tmp_path: Path) -> None:
    """Another process has cut the file off: nothing wrong is sent."""
    parent, child = seeded_file(tmp_path / "seeder", CONTENT, SEEDER, root=ROOT), new_file(tmp_path / "one", ONE)
    with (tmp_path / "seeder").open("r+b") as file:
        file.truncate(PIECE_BYTES)

    with serving(SEEDER, parent) as server, pytest.raises(PeerLost):
        receive(ONE, server, "seeder", child)

    assert child.has(0)
    assert child.have_bytes == 5 * PIECE_BYTES
    assert child.have_list() == digests_of(CONTENT)[:DIGEST_BYTES][:8]
