"""Files of a swarm for tests: their content, their hashes as a seeder signs them, and their roots."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precache.core.relays import PIECE_BYTES, Peer
from precache.ports.swarm_trust import RootStatement
from precache.swarm.host_trust import HostTrust
from precache.swarm.pieces_request import ServingLimits
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import DIGEST_BYTES, HashBatch
from tests.swarm_hosts import SwarmHosts

RELAY = "relay-1"


def image_content(layout: str, *, seed: int = 1, tail_bytes: int = 0) -> bytes:
    """Return content of one piece for each letter: `z` is a piece of zeros, each other letter a random one.

    The same letter with the same seed is the same piece. tail_bytes: of a last, shorter piece.
    """
    pieces = [bytes(PIECE_BYTES) if letter == "z" else _random(f"{letter}{seed}", PIECE_BYTES) for letter in layout]
    return b"".join([*pieces, _random(f"tail{seed}", tail_bytes)])


def digests_of(content: bytes) -> bytes:
    return b"".join(hashlib.sha256(piece).digest() for piece in pieces_of(content))


def pieces_of(content: bytes) -> list[bytes]:
    return [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)]


def root_of(content: bytes) -> str:
    return f"tree-sha256:{hashlib.sha256(digests_of(content)).hexdigest()}"


def batch_of(
    content: bytes, first: int = 0, count: int | None = None, *, seeder: HostTrust | None = None, relay: str = RELAY
) -> HashBatch:
    """Return the hashes of these pieces, by default of all from the first; signed if there is a seeder."""
    start = first * DIGEST_BYTES
    digests = digests_of(content)[start:] if count is None else digests_of(content)[start:][: count * DIGEST_BYTES]
    batch = HashBatch(len(content), first, digests)
    if seeder is None:
        return batch
    return HashBatch(len(content), first, digests, seeder.public_key, seeder.sign(batch.signed_content(relay)))


def root_text(swarm: SwarmHosts, content: bytes, *, relay: str = RELAY) -> str:
    """Return the signed statement of the root of this content."""
    return swarm.authority.root(RootStatement(relay, root_of(content), len(content)))


def seeded_file(path: Path, content: bytes, seeder: HostTrust, *, root: str = "", relay: str = RELAY) -> RelayFile:
    """Return the whole file of a seeder, written to the path. root: its signed statement, if it is known."""
    path.write_bytes(content)
    file = RelayFile(path, seeder, relay, writable=False)
    for first in range(0, len(pieces_of(content)), 4096):
        file.add_hashes(batch_of(content, first, 4096, seeder=seeder, relay=relay))
    file.add_local(0, digests_of(content))
    if root:
        file.set_root(root)
    return file


@contextlib.contextmanager
def serving(trust: HostTrust, *files: RelayFile, **limits: Any) -> Iterator[PiecesServer]:
    """Return a server of these files on a port of 127.0.0.1 that the system chooses. limits: of ServingLimits."""
    limits = {"max_connections": 8, "upload_rate": lambda: None, "offer_wait_s": 0, **limits}
    server = PiecesServer(trust=trust, address="127.0.0.1", ports=(0, 0), limits=ServingLimits(**limits))
    server.start()
    try:
        for file in files:
            server.offer(file.relay, file)
        yield server
    finally:
        server.stop()


def peer_of(server: PiecesServer, host: str) -> Peer:
    return Peer(host, f"127.0.0.1:{server.port}")


def _random(seed: str, count: int) -> bytes:
    return random.Random(seed).randbytes(count)
