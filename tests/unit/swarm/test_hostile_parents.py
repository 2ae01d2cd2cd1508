"""What a parent may send that is wrong: no wrong byte is accepted, and each fault has its error."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.errors import PeerLost, WrongPiece
from precache.core.relays import PIECE_BYTES, Peer
from precache.swarm.pieces_client import PiecesClient
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import (
    PIECE_HEAD,
    RECORD_HEAD,
    HashBatch,
    RecordKind,
    hashes_content,
    offer_content,
    record,
)
from tests.swarm_files import RELAY, batch_of, digests_of, image_content, pieces_of, root_text
from tests.swarm_hosts import SwarmHosts

SWARM = SwarmHosts()
PARENT, CHILD, OTHER = SWARM.host("parent"), SWARM.host("child"), SWARM.host("other")
CONTENT = image_content("azb", tail_bytes=100)
PIECES = pieces_of(CONTENT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.precache.pieces\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def hashes(batch: HashBatch) -> bytes:
    return record(RecordKind.HASHES, hashes_content(batch))


def piece(index: int, data: bytes) -> bytes:
    return record(RecordKind.PIECE, PIECE_HEAD.pack(index) + data)


def root(text: str) -> bytes:
    return record(RecordKind.ROOT, text.encode())


SIGNED = hashes(batch_of(CONTENT, seeder=PARENT))
ROOT = root(root_text(SWARM, CONTENT))
WHOLE = [SIGNED, piece(0, PIECES[0]), piece(2, PIECES[2]), piece(3, PIECES[3]), ROOT]


@contextlib.contextmanager
def parent(answer: Callable[[ssl.SSLSocket], object]) -> Iterator[Peer]:
    """Return a host that reads the head of one request and then calls `answer`."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listening.accept()
            with PARENT.server_context().wrap_socket(sock, server_side=True) as tls:
                while b"\r\n\r\n" not in tls.recv(1 << 16):
                    pass
                answer(tls)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Peer("parent", f"127.0.0.1:{listening.getsockname()[1]}")
    finally:
        listening.close()
        thread.join(20)


def receive(peer: Peer, path: Path, *, silence_s: float = 10, record_s: float = 30) -> RelayFile:
    """Receive; the file has only what it should have, whatever happens."""
    into = RelayFile(path, CHILD, RELAY)
    into.allow_signers([PARENT.public_key])
    try:
        PiecesClient(trust=CHILD, rate_now=lambda: None, silence_s=silence_s, record_s=record_s).receive(
            peer, ticket="any", into=into, check=lambda: None
        )
    finally:
        found = path.read_bytes()
        for index, expected in enumerate(PIECES):
            here = found[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
            assert here == (expected if into.has(index) else bytes(len(here)))
    return into


def receive_bytes(data: bytes, path: Path) -> RelayFile:
    with parent(lambda sock: sock.sendall(data)) as peer:
        return receive(peer, path)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([chunk(each) for each in WHOLE], id="a chunk for each record"),
        pytest.param([chunk(b"".join(WHOLE))], id="one chunk"),
        pytest.param(
            [chunk(bytes([byte])) for byte in b"".join(WHOLE)[:400]] + [chunk(b"".join(WHOLE)[400:])], id="bytes"
        ),
    ],
)
def test_records_may_be_cut_into_chunks_in_any_way(tmp_path: Path, chunks: list[bytes]) -> None:
    assert receive_bytes(b"".join([HEAD, *chunks, END]), tmp_path / "file").agrees


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([piece(0, PIECES[0])], "before its hash"),
        ([SIGNED, piece(0, PIECES[2])], "does not agree with its hash"),
        ([SIGNED, piece(0, PIECES[0][:-1])], "does not agree with its hash"),
        ([SIGNED, piece(4, PIECES[0])], "before its hash"),
        ([SIGNED, piece(0xFFFFFFFF, b"x")], "before its hash"),
        ([SIGNED, hashes(batch_of(image_content("azc", tail_bytes=100), seeder=PARENT))], "an earlier one"),
        ([SIGNED, hashes(batch_of(CONTENT + b"x", seeder=PARENT))], "bytes instead of"),
        ([hashes(batch_of(CONTENT, seeder=OTHER))], "not signed by a seeder"),
        ([hashes(batch_of(CONTENT, seeder=PARENT, relay="relay-2"))], "not signed by a seeder"),
        ([hashes(batch_of(CONTENT))], "the root of its file is unknown"),
        ([ROOT, hashes(HashBatch(len(CONTENT), 0, digests_of(CONTENT)[::-1]))], "do not agree with the root"),
        ([root(root_text(SwarmHosts(), CONTENT))], "no conductor has signed"),
        ([root(root_text(SWARM, CONTENT, relay="relay-2"))], "no conductor has signed"),
    ],
)
def test_a_wrong_piece_or_hash_or_root_names_the_parent(tmp_path: Path, records: list[bytes], words: str) -> None:
    with pytest.raises(WrongPiece, match=f"Host parent .*{words}"):
        receive_bytes(HEAD + chunk(b"".join(records)), tmp_path / "file")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ended too early"),
        (b"SSH-2.0-x\r\n\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok", "no stream of pieces"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nf\x1bull", r"refuses with 503 \(f.ull\)"),
        (HEAD, "ended too early"),
        (HEAD + b"-5\r\n" + SIGNED, "."),
        (HEAD + b"zz\r\n" + SIGNED, "ended too early"),
        (HEAD + chunk(SIGNED), "ended too early"),
        (HEAD + chunk(SIGNED)[:-40], "ended too early"),
        (HEAD + chunk(b"".join(WHOLE)[:-1]) + END, "ends in a record"),
        (HEAD + chunk(SIGNED[:3]) + END, "ends in a record"),
        (HEAD + chunk(b"".join(WHOLE[:2])) + END, "ended before the end of the file"),
        (HEAD + chunk(b"".join(WHOLE[:-1])) + END, "ended before the end of the file"),
        (HEAD + chunk(RECORD_HEAD.pack(RecordKind.PIECE, 1 << 31)), "more than"),
        (HEAD + chunk(RECORD_HEAD.pack(7, 1)), "unknown kind 7"),
        (HEAD + chunk(record(RecordKind.PIECE, PIECE_HEAD.pack(0))), "without bytes"),
        (HEAD + chunk(record(RecordKind.OFFER, b"x")), "wrong length"),
        (HEAD + chunk(SIGNED + piece(0, PIECES[0]) * 66), "are here already"),
    ],
)
def test_an_answer_that_is_none_loses_the_parent(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises((PeerLost, WrongPiece), match=words):
        receive_bytes(data, tmp_path / "file")


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=12), st.booleans())
def test_no_damage_of_a_stream_makes_a_wrong_file(tmp_path_factory, at: int, damage: bytes, replaces: bool) -> None:
    stream = b"".join(WHOLE)
    at = at if at < 1000 else len(stream) - at + 1000
    stream = stream[:at] + damage + stream[at + (len(damage) if replaces else 0) :]

    with contextlib.suppress(PeerLost, WrongPiece):
        file = receive_bytes(HEAD + chunk(stream) + END, tmp_path_factory.mktemp("damaged") / "file")
        assert file.agrees


def test_a_parent_that_falls_silent_is_lost(tmp_path: Path) -> None:
    done = threading.Event()

    def answer(sock: ssl.SSLSocket) -> None:
        sock.sendall(HEAD + chunk(SIGNED))
        done.wait(20)

    with parent(answer) as peer:
        try:
            with pytest.raises(PeerLost, match=r"sent nothing for 0\.3 seconds"):
                receive(peer, tmp_path / "file", silence_s=0.3)
        finally:
            done.set()


def test_a_parent_that_sends_single_bytes_is_lost(tmp_path: Path) -> None:
    done = threading.Event()

    def answer(sock: ssl.SSLSocket) -> None:
        sock.sendall(HEAD + chunk(SIGNED) + b"1000\r\n" + RECORD_HEAD.pack(RecordKind.ROOT, 1000))
        while not done.wait(0.02):
            sock.sendall(b"x")

    with parent(answer) as peer:
        try:
            with pytest.raises(PeerLost, match="no whole record"):
                receive(peer, tmp_path / "file", record_s=0.2)
        finally:
            done.set()


def test_offers_are_signs_of_life(tmp_path: Path) -> None:
    def answer(sock: ssl.SSLSocket) -> None:
        sock.sendall(HEAD + chunk(SIGNED))
        for _ in range(4):
            threading.Event().wait(0.1)
            sock.sendall(chunk(record(RecordKind.OFFER, offer_content(1))))
        sock.sendall(chunk(b"".join(WHOLE[1:])) + END)

    with parent(answer) as peer:
        assert receive(peer, tmp_path / "file", silence_s=0.3).agrees


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:1", "127.0.0.1:99999", "127.0.0.1", "[::1"])
def test_a_parent_that_cannot_be_reached_is_lost(tmp_path: Path, address: str) -> None:
    with pytest.raises(PeerLost):
        receive(Peer("parent", address), tmp_path / "file")
