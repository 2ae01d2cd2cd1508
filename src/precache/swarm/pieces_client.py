"""Receives the pieces of a file from another host, and adds them to the file as they come.

The other host is not trusted: the file checks each hash and each piece, and every number of a record has a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected

from precache.background.thread_priority import ThreadPriority
from precache.core.errors import HashesDiffer, PeerLost, PieceRefused, WrongPiece
from precache.core.relays import Peer
from precache.core.text import plain_line
from precache.fetch.rate_limits import NO_LIMIT, RateLimit, RateNow
from precache.swarm.host_trust import HostTrust
from precache.swarm.pace import Pace
from precache.swarm.peer_connection import PeerConnection
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import (
    MOST_BYTES,
    MOST_HAVE_BYTES,
    PIECES_TYPE,
    RECORD_HEAD,
    TICKET_HEADER,
    MalformedRecord,
    RecordKind,
    read_hashes,
    read_head,
    read_offer,
    read_piece,
    read_root,
)

_MOST_REPEATED = 64
"""Pieces that are there already; a host that goes on to send them is lost."""

_MOST_REASON_BYTES = 300


@dataclass(frozen=True, slots=True)
class Received:
    """How far a transfer from a host is.

    received_bytes: of pieces, in this call. offered_bytes: of the file, that the other host has, pieces of zeros
    included, as it last said.
    """

    received_bytes: int
    offered_bytes: int


class PiecesClient:
    """Receives from other hosts.

    rate_now: of all that is received with this object together. silence_s: a host that sends nothing for so long is
    lost; while it has nothing new it sends an offer every 0.25 s. record_s: so is one that needs longer for a record.
    priority: which a thread has from its first call of `receive` on, until it ends; None changes nothing.
    """

    def __init__(
        self,
        *,
        trust: HostTrust,
        rate_now: RateNow,
        priority: ThreadPriority | None = None,
        silence_s: float = 2.0,
        record_s: float = 30.0,
    ) -> None:
        self._trust, self._silence_s, self._record_s = trust, silence_s, record_s
        self._priority = priority
        self._pace = Pace(rate_now)

    def receive(
        self,
        peer: Peer,
        *,
        ticket: str,
        into: RelayFile,
        check: Callable[[], object],
        on_progress: Callable[[Received], object] = lambda _received: None,
        limit: RateLimit = NO_LIMIT,
    ) -> None:
        """Receive until the other host has sent everything: then the file has every piece, and the root is known.

        What the file has is not received again. check: called every 0.1 s; what it raises ends the transfer.
        on_progress: called at least every second, and before the first piece. What it raises ends the transfer.
        limit: of this transfer, beside that of the object.
        Raises PeerLost if the host cannot be reached, refuses, is silent or ends too early; WrongPiece
        for a piece, a hash or a root that cannot be accepted; RelayRefused if this host has no certificate; OSError if
        the file cannot be written.
        """
        if self._priority is not None:
            self._priority.lower()
        with PeerConnection(
            peer,
            self._trust,
            pace=self._pace,
            limit=limit,
            check=check,
            silence_s=self._silence_s,
            record_s=self._record_s,
        ) as connection:
            try:
                with _ask(connection, peer, ticket, into) as response:
                    _Transfer(peer, connection, response, into, on_progress).run()
            except (IncompleteRead, RemoteDisconnected) as error:
                raise PeerLost(peer.host, "its answer ended too early") from error
            except (HTTPException, MalformedRecord) as error:
                raise PeerLost(peer.host, f"its answer cannot be read ({error or type(error).__name__})") from error
            except PieceRefused as error:
                differ = isinstance(error, HashesDiffer)
                raise WrongPiece(peer.host, error.index, error.reason, is_contradiction=differ) from error


def _ask(connection: PeerConnection, peer: Peer, ticket: str, into: RelayFile) -> HTTPResponse:
    """Send the request, and return the answer, after its head. Raises PeerLost if the host refuses."""
    have = into.have_list()[:MOST_HAVE_BYTES]
    head = (
        f"POST /v1/relays/{into.relay}/pieces HTTP/1.1\r\n"
        f"Host: {peer.address}\r\n"
        f"{TICKET_HEADER}: {ticket}\r\n"
        f"Accept: {PIECES_TYPE}\r\n"
        f"Content-Length: {len(have)}\r\n"
        "Connection: close\r\n\r\n"
    )
    connection.sendall(head.encode("ascii") + have)
    # Of a socket it uses `makefile` alone.
    response = HTTPResponse(connection, method="POST")  # type: ignore[arg-type]
    response.begin()
    if response.status != HTTPStatus.OK:
        reason = response.read(_MOST_REASON_BYTES).decode("utf-8", "replace").strip()
        raise PeerLost(peer.host, f"it refuses with {response.status} ({plain_line(reason)})")
    if response.headers.get_content_type() != PIECES_TYPE or not response.chunked:
        raise MalformedRecord("its answer is no stream of pieces")
    return response


class _Transfer:
    """The records of one answer."""

    def __init__(
        self,
        peer: Peer,
        connection: PeerConnection,
        response: HTTPResponse,
        into: RelayFile,
        on_progress: Callable[[Received], object],
    ) -> None:
        self._peer, self._connection, self._response = peer, connection, response
        self._into, self._on_progress = into, on_progress
        self._head = memoryview(bytearray(RECORD_HEAD.size))
        self._content = memoryview(bytearray(max(MOST_BYTES.values())))
        self._received_bytes = self._offered_bytes = self._repeated = 0

    def run(self) -> None:
        while count := self._response.readinto(self._head):
            if count < len(self._head):
                raise MalformedRecord("it ends in a record")
            kind, length = read_head(self._head)
            if self._response.readinto(self._content[:length]) < length:
                raise MalformedRecord("it ends in a record")
            self._accept(kind, self._content[:length])
            self._connection.note_record()
        if not self._into.is_whole or not self._into.root_text:
            raise PeerLost(self._peer.host, "it ended before the end of the file")

    def _accept(self, kind: RecordKind, content: memoryview) -> None:
        match kind:
            case RecordKind.HASHES:
                self._into.add_hashes(read_hashes(content))
            case RecordKind.PIECE:
                self._accept_piece(content)
            case RecordKind.OFFER:
                self._offered_bytes = read_offer(content)
                self._on_progress(Received(self._received_bytes, self._offered_bytes))
            case RecordKind.ROOT:
                self._into.set_root(read_root(content))

    def _accept_piece(self, content: memoryview) -> None:
        index, data = read_piece(content)
        self._received_bytes += len(data)
        if self._into.add_piece(index, data):
            return
        self._repeated += 1
        if self._repeated > _MOST_REPEATED:
            raise PeerLost(self._peer.host, "it sends pieces that are here already")
