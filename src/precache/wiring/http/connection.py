"""One connection of the embedded HTTP server. It occupies a thread only while there is work.

A connection waits in the server's selector until its request has arrived, and also after an answer that was sent before
the end of the request. So a client that sends half a request and then nothing occupies no thread.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import time
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection, HTTPRequest

from precache.api import errors
from precache.api.paths import is_compute
from precache.wiring.http.chunked_body import ChunkedBody
from precache.wiring.http.receive_buffer import ReceiveBuffer
from precache.wiring.http.tls import TlsReceiveBuffer, end_tls

HEAD_PATIENCE_S = 10
"""How long the head of a request may take. cheroot closes a connection that is silent for this time."""

BODY_PATIENCE_S = 30
"""How long the body of a request may take: it occupies a thread meanwhile."""

UNREAD_PATIENCE_S = 10
UNREAD_BYTES = 16 * 1024 * 1024
"""How long and how much a client may still send after the answer, so that it can read the answer."""

MOST_CONNECTIONS = 500
"""The most open connections; well below 1024 open files, the usual limit of services. A further connection cuts the one
that has waited longest for a request."""

_NUMBER = re.compile(rb"[0-9]{1,15}")


class Request(HTTPRequest):
    """cheroot's request, with errors in JSON. It does not wait for the unread part of the body."""

    def read_request_headers(self) -> bool:
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        if _NUMBER.fullmatch(self.inheaders.get(b"Content-Length", b"0")):
            return True
        self.simple_response("400 Bad Request", "Malformed Content-Length Header.")
        return False

    def respond(self) -> None:
        if not self.chunked_read:
            super().respond()
            return
        # cheroot's own reader holds each whole chunk in memory, and treats a negative size as the end.
        self.rfile = ChunkedBody(self.conn.rfile)
        self.server.gateway(self).respond()
        self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")

    def send_headers(self) -> None:
        if not self._is_body_read():
            self.close_connection = self.conn.is_answered_early = True
        super().send_headers()

    def simple_response(self, status: str, msg: str = "") -> None:
        """Send an error of cheroot as JSON, and close the connection."""
        self.close_connection = self.conn.is_answered_early = True
        code = HTTPStatus(int(status[:3]))
        body = json.dumps(_error_body(getattr(self, "uri", b""), code, msg)).encode("ascii")
        head = (
            f"{self.server.protocol} {code.value} {code.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):  # the client has closed the connection
            self.conn.wfile.write(head.encode("ascii") + body)

    def _is_body_read(self) -> bool:
        if self.chunked_read:
            return bool(self.rfile.closed)
        remaining = self.rfile.remaining
        if remaining and self.conn.rfile.skip(remaining):
            self.rfile.remaining = 0
        return not self.rfile.remaining


class Connection(HTTPConnection):
    """A connection that another thread can cut. It begins no request while the server stops."""

    RequestHandlerClass = Request

    def __init__(self, server: Any, sock: socket.socket, *_rest: Any) -> None:
        super().__init__(server, sock, _file)
        self.rfile: Any  # a ReceiveBuffer
        self.is_answered_early = False
        """True once an answer was sent before the end of its request."""
        self.is_handed_over = False
        """True while another thread owns the socket; `close` then does nothing."""
        self.waiting_since: float | None = time.monotonic()
        self._unread_bytes = 0
        _make_room(server.connections_open)
        server.connections_open.add(self)

    def communicate(self) -> bool:
        """Handle the data that has arrived; return whether the connection shall wait for more."""
        if not self.server.ready:
            return False
        if self.is_answered_early:
            return self._has_more_unread()
        self.rfile.fill()
        if not self.rfile.has_data():
            return not self.rfile.is_ended and not self._has_waited(HEAD_PATIENCE_S)
        self.waiting_since = None
        self.rfile.limit(BODY_PATIENCE_S)
        is_kept = bool(super().communicate())  # type: ignore[no-untyped-call]
        self.waiting_since = time.monotonic()
        return self._finish_early() if self.is_answered_early else is_kept

    def cut(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            # Not the method of an SSL socket, which takes its session from the sending thread.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def hand_over(self) -> socket.socket:
        """Return the socket, which the caller then owns and closes by `close_handed_over`."""
        self.is_handed_over = True
        # It must not be cut in favour of another connection, nor be waited for.
        self.server.connections_open.discard(self)
        taken: socket.socket = self.socket
        return taken

    def close_handed_over(self) -> None:
        self.is_handed_over = False
        self.close()

    def close(self) -> None:
        if self.is_handed_over:
            return
        self.server.connections_open.discard(self)
        end_tls(self.socket)
        super().close()
        # cheroot leaves this file, and with it the socket's descriptor, to the garbage collector.
        with contextlib.suppress(OSError, ValueError):
            self.wfile.raw.close()

    def _has_waited(self, seconds: float) -> bool:
        return self.waiting_since is not None and time.monotonic() - self.waiting_since >= seconds

    def _finish_early(self) -> bool:
        """Send the end of the stream. To close with unread bytes could destroy an answer in transit."""
        try:
            self.wfile.flush()
            end_tls(self.socket)
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return self._has_more_unread()

    def _has_more_unread(self) -> bool:
        self._unread_bytes += self.rfile.discard(UNREAD_BYTES)
        is_enough = self._unread_bytes >= UNREAD_BYTES or self._has_waited(UNREAD_PATIENCE_S)
        return not self.rfile.is_ended and not is_enough


def _file(sock: socket.socket, mode: str, size: int) -> Any:
    if "r" not in mode:
        return MakeFile(sock, mode, size)
    return TlsReceiveBuffer(sock) if isinstance(sock, ssl.SSLSocket) else ReceiveBuffer(sock)


def _make_room(connections: set[Connection]) -> None:
    """Cut the connection that has waited longest for a request, if there are too many."""
    if len(connections) < MOST_CONNECTIONS:
        return
    waiting = [(since, id(one), one) for one in connections.copy() if (since := one.waiting_since) is not None]
    if waiting:
        min(waiting)[2].cut()


def _error_body(uri: bytes, status: HTTPStatus, message: str) -> dict[str, Any]:
    text = message or status.description or status.phrase
    if is_compute(uri.decode("latin-1").partition("?")[0]):
        return errors.nova_body(status, text)
    return errors.own_body(status, errors.server_code(status), text, f"req-{uuid4()}")
