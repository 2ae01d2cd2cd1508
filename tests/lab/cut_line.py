"""A proxy whose connection breaks at a given moment: when a certain request is sent, or when its answer arrives."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class CutLine:
    """Forwards bytes between its own port and the server's, until it is told where to break.

    It breaks once; connections that come after go through.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._request: bytes | None = None
        self._is_delivered = False
        self.breaks = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def break_at(self, request: bytes, *, is_delivered: bool) -> None:
        """Break the connection on which these bytes are sent next: after the server has them, or before."""
        with self._lock:
            self._request, self._is_delivered = request, is_delivered

    def close(self) -> None:
        # A mere close would leave the other thread in its accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                is_cut = threading.Event()
                threading.Thread(target=self._forward_requests, args=(client, server, is_cut), daemon=True).start()
                threading.Thread(target=self._forward_answers, args=(server, client, is_cut), daemon=True).start()

    def _forward_requests(self, client: socket.socket, server: socket.socket, is_cut: threading.Event) -> None:
        with _hung_up(server):
            while data := client.recv(65536):
                if self._is_moment(data):
                    is_cut.set()
                    if not self._is_delivered:
                        client.shutdown(socket.SHUT_RDWR)
                        return
                server.sendall(data)

    def _forward_answers(self, server: socket.socket, client: socket.socket, is_cut: threading.Event) -> None:
        # The answer is what the client waits for: when the line breaks in its place, the server has done the work.
        with _hung_up(client):
            while (data := server.recv(65536)) and not is_cut.is_set():
                client.sendall(data)

    def _is_moment(self, data: bytes) -> bool:
        with self._lock:
            if self._request is None or self._request not in data:
                return False
            self._request = None
            self.breaks += 1
            return True


@contextlib.contextmanager
def _hung_up(line: socket.socket) -> Iterator[None]:
    """Have the line closed at the end, however it ends."""
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
