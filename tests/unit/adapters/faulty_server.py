"""An HTTP server that answers every request with the bytes it was told, right or wrong; for tests of clients."""

import contextlib
import re
import socket
import threading


class FaultyServer:
    """answers: one per connection, the last for all later ones. Each is bytes to send before the connection is
    closed; a tuple (bytes, HOLD) keeps it open in silence until the client or the test goes away. context: an
    ssl.SSLContext makes it speak TLS."""

    def __init__(self, *answers, context=None):
        self._answers, self._context = list(answers), context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = []
        self.requests = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self):
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        # shutdown wakes the accept; close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for connection in self._open:
            connection.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._context:
                try:
                    connection = self._context.wrap_socket(connection, server_side=True)
                except OSError:  # the client does not accept our certificate, or speaks no TLS
                    continue
            self.requests.append(self._read_request(connection))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            data, holds = answer if isinstance(answer, tuple) else (answer, False)
            with contextlib.suppress(OSError):
                connection.sendall(data)
            if holds:
                self._open.append(connection)
            else:
                connection.close()

    @staticmethod
    def _read_request(connection):
        data = b""
        while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
            data += more
        # The body as well: to close a connection with unread bytes resets it, and the client may lose the answer.
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        while length and len(body) < int(length[1]) and (more := connection.recv(65536)):
            body += more
        return data.decode("latin-1")


HOLD = True


def http(status, body=b"", **headers):
    """Build an answer; without a Content_Length among the headers it gets the right one, None leaves it out."""
    headers.setdefault("Content_Length", str(len(body)))
    # As it is; else a client may send its next request on this connection just before it sees the end.
    headers.setdefault("Connection", "close")
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body
