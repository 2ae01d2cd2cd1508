"""One request of another host for pieces: whether it may have them, and what it has already."""

from __future__ import annotations

import logging
import re
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from precache.background.thread_priority import ThreadPriority
from precache.core.swarm_certificates import HostIdentity
from precache.fetch.rate_limits import RateNow
from precache.swarm.host_trust import HostTrust
from precache.swarm.offers import Connection, Offers, RequestRefused
from precache.swarm.pace import Pace
from precache.swarm.piece_sender import PieceSender
from precache.swarm.refusal_log import RefusalLog
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import MOST_HAVE_BYTES, PIECES_TYPE, TICKET_HEADER

_log = logging.getLogger(__name__)

_PATH = re.compile(r"/v1/relays/([A-Za-z0-9][A-Za-z0-9._-]{0,254})/pieces")
_LENGTH = re.compile(r"[0-9]{1,15}")
_BLOCK_BYTES = 64 << 10
_DRAIN_S = 2.0
_CERTIFICATE_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimits:
    """max_connections: hosts that receive pieces at the same time. upload_rate: of all together.

    priority: of the threads that send; None changes nothing. send_timeout_s: a host that takes less than 16 KiB in
    this time is cut off. handshake_timeout_s: until the certificate was shown. request_timeout_s: for the head of the
    request; the have-list may take as long again. offer_wait_s: how long a request is kept for a relay that is not
    offered yet, or until this host has the certificate of its present site.
    """

    max_connections: int
    upload_rate: RateNow
    priority: ThreadPriority | None = None
    send_timeout_s: float = 10.0
    handshake_timeout_s: float = 3.0
    request_timeout_s: float = 10.0
    offer_wait_s: float = 2.0


class PiecesRequest(BaseHTTPRequestHandler):
    """Handles the one request of a connection, when it is made."""

    protocol_version = default_request_version = "HTTP/1.1"
    server_version, sys_version = "precache", ""

    def __init__(
        self,
        connection: Connection,
        trust: HostTrust,
        offers: Offers,
        pace: Pace,
        limits: ServingLimits,
        refusals: RefusalLog,
    ) -> None:
        self._from, self._trust, self._offers, self._pace, self._limits = connection, trust, offers, pace, limits
        self._refusals = refusals
        # The base class keeps its server for subclasses alone.
        super().__init__(connection.sock, (connection.address, 0), None)  # type: ignore[arg-type]

    def handle(self) -> None:
        try:
            self.handle_one_request()
        except OSError as error:
            _log.debug("The connection of %s ended: %s", self._from.host or self._from.address, error)

    def do_POST(self) -> None:
        self.close_connection = True
        try:
            file = self._admitted()
            have = self._read_body()
        except RequestRefused as refusal:
            self._refuse(refusal)
            return
        self._from.deadline = None
        self._send_pieces(file, have)

    def do_HEAD(self) -> None:
        """Answer `HostCheck`: any host of the authority may see that it is accepted."""
        self.close_connection = True
        self.send_response(HTTPStatus.NO_CONTENT)
        self.send_header("Connection", "close")
        self.end_headers()

    def _admitted(self) -> RelayFile:
        match = _PATH.fullmatch(self.path)
        if match is None:
            raise RequestRefused(HTTPStatus.NOT_FOUND, f"there is nothing at {self.path[:100]!r}")
        assert isinstance(self.connection, ssl.SSLSocket)  # noqa: S101
        peer = self._trust.identify(self.connection)
        why = self._why_refused(peer, match[1])
        if why or peer is None:
            raise RequestRefused(HTTPStatus.FORBIDDEN, why)
        return self._offers.admit(self._from, match[1], peer.host)

    def _why_refused(self, peer: HostIdentity | None, relay: str) -> str:
        """Return why the caller may not receive the relay's image; empty if it may.

        If a conductor has let the caller come here from another site than that of this host's certificate, this host's
        site may have changed: it asks for a new certificate, and waits for it for a moment.
        """
        ticket = self.headers.get(TICKET_HEADER, "")
        why = self._trust.why_refused(peer, relay, ticket)
        if why and self._offers.has(relay) and not self._trust.is_in_site_of(ticket):
            self._trust.ask_for_certificate()
            until = time.monotonic() + self._limits.offer_wait_s
            while self._trust.is_asked_for and not self._from.is_cut and time.monotonic() < until:
                time.sleep(_CERTIFICATE_LOOK_S)
            why = self._trust.why_refused(peer, relay, ticket)
        return why

    def _read_body(self) -> bytes:
        text = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(text):
            raise RequestRefused(HTTPStatus.LENGTH_REQUIRED, "the have-list needs a Content-Length")
        length = int(text)
        if length > MOST_HAVE_BYTES:
            reason = f"the have-list has {length} bytes, more than {MOST_HAVE_BYTES}"
            raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
        self._from.deadline = time.monotonic() + self._limits.request_timeout_s
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("it ended in the have-list")
        return body

    def _send_pieces(self, file: RelayFile, have: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", PIECES_TYPE)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        host, relay = self._from.host, self._from.relay
        assert isinstance(self.connection, ssl.SSLSocket)  # noqa: S101
        sender = PieceSender(
            self.connection, file, have=have, pace=self._pace, sent=lambda count: self._offers.count_sent(relay, count)
        )
        try:
            is_all_sent = sender.run()
        except TimeoutError:
            _log.warning("Host %s was cut off: it has taken no piece of relay %s for too long", host, relay)
        else:
            _log.debug("Host %s was sent %s of relay %s", host, "all" if is_all_sent else "a part", relay)

    def _refuse(self, refusal: RequestRefused) -> None:
        self._refusals.warn("A request", self._from.address, refusal.reason)
        self._from.relay = ""  # it takes the place of no other
        body = f"{refusal.reason}\n".encode()
        self.send_response(refusal.status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self._drain()

    def _drain(self) -> None:
        """Read what the caller still sends: if the connection were closed before, it might not get the answer."""
        self._from.deadline = time.monotonic() + _DRAIN_S
        left = MOST_HAVE_BYTES
        while left > 0 and (part := self.connection.recv(_BLOCK_BYTES)):
            left -= len(part)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the base class cannot read: another method, a head that is malformed or too long."""
        self.close_connection = True
        status = HTTPStatus(code)
        self._refuse(RequestRefused(status, message or explain or status.phrase))

    def log_message(self, *_: Any) -> None:
        """Log nothing of the base class: each refusal has its own line."""
