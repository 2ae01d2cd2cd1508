"""The embedded HTTP server: WSGI applications by path prefix, on one address."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from cheroot import wsgi

from precache.api.calls import HANDS_OVER
from precache.api.events.stream import EventStream
from precache.background.threads import start_thread
from precache.core.errors import AddressUnavailable
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.connection import Connection
from precache.wiring.http.event_sender import EventSender
from precache.wiring.http.receive_buffer import HEAD_BYTES
from precache.wiring.http.tls import ServerTls

_log = logging.getLogger(__name__)

GRACE = timedelta(seconds=2)
"""How long a running request may continue after the server was told to stop."""

CUT_PATIENCE = timedelta(seconds=1)
"""How long a request may take to end after its connection was cut."""

BACKLOG = 128
"""Connections that the system accepts before the server does; further clients retry a second later."""

LARGE_BYTES = 64 * 1024
"""From this size on, a piece of a body is sent directly to the socket."""


class _Gateway(wsgi.Gateway_10):
    """cheroot's WSGI gateway, with direct sending of image data.

    cheroot's buffered writer copies all unsent bytes for every send: five times the processor time for pieces of 1 MiB.
    A stream of events leaves this thread after its headers.
    """

    def get_environ(self) -> Any:
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        return {**environ, HANDS_OVER: True}

    def respond(self) -> None:
        response = self.req.server.wsgi_app(self.env, self.start_response)
        if isinstance(response, EventStream):
            self._hand_over(response)
            return
        try:
            for chunk in filter(None, response):
                self.write(chunk)
        finally:
            self.req.ensure_headers_sent()
            if hasattr(response, "close"):
                response.close()

    def _hand_over(self, stream: EventStream) -> None:
        connection = self.req.conn
        try:
            self.req.close_connection = True
            self.req.ensure_headers_sent()
            connection.wfile.flush()
            # Otherwise cheroot would end the body here.
            is_chunked, self.req.chunked_write = self.req.chunked_write, False
            self.req.server.event_sender.add(
                connection.hand_over(), stream, is_chunked=is_chunked, release=connection.close_handed_over
            )
        except BaseException:
            stream.close()
            connection.is_handed_over = False
            raise

    def write(self, chunk: bytes) -> None:
        if len(chunk) < LARGE_BYTES:
            super().write(chunk)
            return
        self.req.ensure_headers_sent()
        if self.req.chunked_write:
            super().write(chunk)
            return
        self.req.conn.wfile.flush()
        rest = memoryview(chunk)
        while rest:  # not sendall: its timeout covers all bytes, and a slow client needs longer
            rest = rest[self.req.conn.socket.send(rest) :]


class HttpServer:
    """cheroot as a server with three methods: `bind` reserves the address or raises the reason, `start`, `stop`."""

    def __init__(self, *, address: ListenAddress, threads: int, tls_files: tuple[Path, Path] | None = None) -> None:
        """tls_files: certificate and key, as [api] cert_file and key_file name them; None for plain HTTP.

        Raises InvalidConfiguration for files that cannot be used.
        """
        self._address, self._scheme = address, "https" if tls_files else "http"
        self._connections: set[Connection] = set()
        server = wsgi.Server((address.host, address.port), None, numthreads=threads, shutdown_timeout=2)
        # Typed as Any: the code below replaces attributes that cheroot's stubs do not declare.
        self._server = cast(Any, server)
        self._server.ssl_adapter = ServerTls(cert_file=tls_files[0], key_file=tls_files[1]) if tls_files else None
        self._server.server_name = "precache"
        self._server.gateway = _Gateway
        self._server.ConnectionClass = Connection
        self._server.connections_open = self._connections
        self._events = self._server.event_sender = EventSender()
        self._server.request_queue_size = BACKLOG
        self._server.max_request_header_size = HEAD_BYTES
        self._server.error_log = _log_of_server
        self._thread: threading.Thread | None = None

    def bind(self) -> str:
        """Reserve the address and return the URL. Raises AddressUnavailable."""
        try:
            self._server.prepare()
        except OSError as error:
            raise AddressUnavailable(f"{self._address.host} port {self._address.port}", _reason(error)) from error
        port = self._server.bind_addr[1]
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return f"{self._scheme}://{host}:{port}"

    def start(self, apps: Mapping[str, Any]) -> None:
        """Serve WSGI applications by path prefix ("/" for all other paths)."""
        self._server.wsgi_app = wsgi.PathInfoDispatcher(dict(apps))  # type: ignore[no-untyped-call]
        self._thread = start_thread(self._server.serve, name="http")

    def stop(self, patience: timedelta = CUT_PATIENCE) -> None:
        """Close the address; let running requests end within `GRACE`, then cut the remaining connections.

        It does not wait for a request that has not ended `patience` after that.
        """
        # cheroot waits for each connection's own timeout, and for ever for a request that does not return.
        stopping = start_thread(self._server.stop, name="http-stop")
        self._events.stop(GRACE)
        stopping.join(GRACE.total_seconds())
        for connection in self._connections.copy():
            connection.cut()
        stopping.join(patience.total_seconds())
        if self._thread is not None:
            self._thread.join(patience.total_seconds())


def _reason(error: OSError) -> str:
    """Return the system's reason from cheroot's list of all tried addresses."""
    reasons = re.findall(r"\[Errno \d+\] ([^)]*)", str(error))
    return str(reasons[-1]) if reasons else error.strerror or str(error)


def _log_of_server(message: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
    """Log cheroot's messages, without tracebacks for failures of clients' connections."""
    _log.log(level, "%s", message, exc_info=traceback and level >= logging.ERROR)
