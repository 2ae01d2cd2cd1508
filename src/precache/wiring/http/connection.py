"""One connection of the embedded HTTP server: a thread is busy with it only while there is something to be done.

A connection whose request has not arrived yet, and one on which an answer went out before the request's end, wait in
the server's selector for more bytes. Whoever sends half a request and falls silent holds no thread.
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
"""How long a request's head may take once the server waits for it. Silence is ended by the server, after as long."""

BODY_PATIENCE_S = 30
"""How long a request may take to arrive as a whole: it holds a thread meanwhile."""

UNREAD_PATIENCE_S = 10
UNREAD_BYTES = 16 * 1024 * 1024
"""How long, and how much, a client may go on sending after its answer, so that it gets to reading it."""

MOST_CONNECTIONS = 500
"""Open at once; well below 1024 open files, with which services are usually started. Beyond, those go that have
waited longest for a request."""

_NUMBER = re.compile(rb"[0-9]{1,15}")


class Request(HTTPRequest):
    """The library's request, which answers in JSON itself, and never reads what the application left unread."""

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
        # The library's own reader of chunks holds each as a whole, and takes a negative size for the end.
        self.rfile = ChunkedBody(self.conn.rfile)
        self.server.gateway(self).respond()
        self.ensure_headers_sent()
        if self.chunked_write:
            self.conn.wfile.write(b"0\r\n\r\n")

    def send_headers(self) -> None:
        if not self._is_body_done():
            self.close_connection = self.conn.is_cut_short = True
        super().send_headers()

    def simple_response(self, status: str, msg: str = "") -> None:
        """Answer what the library refuses by itself, and close the connection."""
        self.close_connection = self.conn.is_cut_short = True
        code = int(str(status)[:3])
        body = json.dumps(_refusal(getattr(self, "uri", b""), code, msg)).encode("ascii")
        phrase = HTTPStatus(code).phrase
        head = (
            f"{self.server.protocol} {code} {phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):  # nobody there any more
            self.conn.wfile.write(head.encode("ascii") + body)

    def _is_body_done(self) -> bool:
        if self.chunked_read:
            return bool(self.rfile.closed)
        remaining = self.rfile.remaining
        if remaining and self.conn.rfile.skip(remaining):
            self.rfile.remaining = 0
        return not self.rfile.remaining


class Connection(HTTPConnection):
    """A connection that can be cut from outside, and that begins nothing once the server is stopping."""

    RequestHandlerClass = Request

    def __init__(self, server: Any, sock: socket.socket, *_rest: Any) -> None:
        super().__init__(server, sock, _file)
        self.rfile: Any  # an ReceiveBuffer
        self.is_cut_short = False
        """Whether an answer went out before its request had come in."""
        self.waiting_since: float | None = time.monotonic()
        self._unread_since: float | None = None
        self._unread_bytes = 0
        _make_room(server.connections_open)
        server.connections_open.add(self)

    def communicate(self) -> bool:
        """Do what can be done now; True if the connection is to wait for more."""
        if not self.server.ready:
            return False
        if self._unread_since is not None:
            return self._has_more_unread()
        self.rfile.gather()
        if not self.rfile.has_data():
            return self._may_wait()
        self.waiting_since = None
        self.rfile.limit(BODY_PATIENCE_S)
        is_kept = bool(super().communicate())  # type: ignore[no-untyped-call]
        if self.is_cut_short:
            return self._finish_early()
        self.waiting_since = time.monotonic()
        return is_kept

    def cut(self) -> None:
        with contextlib.suppress(OSError):  # closed by itself
            # Not the method of an SSL socket, which takes its session from the thread that is sending.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self.server.connections_open.discard(self)
        end_tls(self.socket)
        super().close()
        # The library leaves this file to the garbage collector, and with it the socket's descriptor.
        with contextlib.suppress(OSError, ValueError):
            self.wfile.raw.close()

    def _may_wait(self) -> bool:
        since = self.waiting_since or time.monotonic()
        return not self.rfile.is_ended and time.monotonic() - since < HEAD_PATIENCE_S

    def _finish_early(self) -> bool:
        """Announce the end of what is sent. Closing with unread bytes could destroy the answer in transit."""
        self._unread_since = self.waiting_since = time.monotonic()
        try:
            self.wfile.flush()
            end_tls(self.socket)
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return self._has_more_unread()

    def _has_more_unread(self) -> bool:
        self._unread_bytes += self.rfile.discard(UNREAD_BYTES)
        if self.rfile.is_ended or self._unread_bytes >= UNREAD_BYTES:
            return False
        return time.monotonic() - (self._unread_since or 0) < UNREAD_PATIENCE_S


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


def _refusal(uri: bytes, status: int, message: str) -> dict[str, Any]:
    told = message or HTTPStatus(status).description or HTTPStatus(status).phrase
    if is_compute(uri.decode("latin-1").partition("?")[0]):
        return errors.nova_body(status, told)
    return errors.own_body(status, errors.server_code(status), told, f"req-{uuid4()}")
