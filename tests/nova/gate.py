"""A door in front of Glance that a test can shut: requests for the data of images wait there until it is opened."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 120
OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "date", "server"})
"""Headers that end at the door."""


class ImageGate:
    """Passes requests on, from `start` to `stop`, on a free port of loopback; to whom, `lead_to` says."""

    def __init__(self) -> None:
        self._target = ""
        self._open = threading.Event()
        self._open.set()
        self._arrived: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def lead_to(self, url: str) -> None:
        """Pass requests on to the image service at this URL from now on."""
        self._target = urlsplit(url).netloc

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._open.set()
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Keep everybody waiting who asks for data meanwhile."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def data_requests(self, image: str) -> int:
        """Give how many requests for the data of this image have come, whether let through or not."""
        return self._arrived.get(f"/v2/images/{image}/file", 0)

    def _pass(self, request: BaseHTTPRequestHandler) -> None:
        if request.path.endswith("/file"):
            self._arrived[request.path] = self._arrived.get(request.path, 0) + 1
            self._open.wait(TIMEOUT_S)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in OF_ONE_CONNECTION}
        connection = http.client.HTTPConnection(self._target, timeout=TIMEOUT_S)
        try:
            connection.request(request.command, request.path, headers=headers)
            _relay(connection.getresponse(), request)
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate._pass(self)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        return Handler


def _relay(answer: http.client.HTTPResponse, request: BaseHTTPRequestHandler) -> None:
    request.send_response(answer.status)
    for name, value in answer.getheaders():
        if name.lower() not in OF_ONE_CONNECTION:
            request.send_header(name, value)
    request.end_headers()
    try:
        while block := answer.read(BLOCK_BYTES):
            request.wfile.write(block)
    except (BrokenPipeError, ConnectionResetError):
        request.close_connection = True  # whoever asked has gone
