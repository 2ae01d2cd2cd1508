"""The embedded HTTP server: WSGI applications by path prefix, on one address."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cheroot import wsgi

from precache.core.errors import InvalidConfiguration
from precache.rules.listen_address import ListenAddress

LARGE_BYTES = 64 * 1024
"""From this size on a piece of a body goes straight to the socket."""


class _Gateway(wsgi.Gateway_10):
    """cheroot's way from WSGI to the connection, with a short cut for image data.

    Its buffered writer copies what it has not sent yet for every send: five times the processor time for 1 MiB pieces.
    """

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
        while rest:  # not sendall: its time-out is for all of it, and a thin link needs longer
            rest = rest[self.req.conn.socket.send(rest) :]


class HttpServer:
    """cheroot behind three verbs: `bind` reserves the address or says why not, `start`, `stop`."""

    def __init__(self, *, address: ListenAddress, threads: int) -> None:
        self._address = address
        self._server = wsgi.Server((address.host, address.port), None, numthreads=threads, shutdown_timeout=2)
        self._server.server_name = "precache"
        self._server.gateway = _Gateway
        self._thread = threading.Thread(target=self._server.serve, name="http", daemon=True)

    def bind(self) -> str:
        """Reserve the address and give the URL. Raises InvalidConfiguration if it cannot be had."""
        try:
            self._server.prepare()
        except OSError as error:
            reason = error.strerror or str(error).strip().splitlines()[-1]
            raise InvalidConfiguration(
                f"cannot listen on {self._address.host} port {self._address.port}: {reason}; "
                "stop what uses it, or choose another address with --listen"
            ) from error
        port = self._server.bind_addr[1]
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return f"http://{host}:{port}"

    def start(self, apps: Mapping[str, Any]) -> None:
        """Serve WSGI applications, by path prefix ("/" for what no other prefix takes)."""
        self._server.wsgi_app = wsgi.PathInfoDispatcher(dict(apps))  # type: ignore[no-untyped-call]
        self._thread.start()

    def stop(self, patience: timedelta) -> None:
        """Close the address and end the requests under way."""
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join(patience.total_seconds())
