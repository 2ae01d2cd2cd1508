"""TLS for the embedded HTTP server: a client that is silent during the handshake occupies no thread, either.

cheroot's own adapter waits for the handshake in the thread that accepts connections, so one silent client would block
all others. Here the receive buffer does the handshake without waiting.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
from pathlib import Path

from cheroot.errors import FatalSSLAlert

from precache.core.errors import InvalidConfiguration
from precache.wiring.http.receive_buffer import ReceiveBuffer

_log = logging.getLogger(__name__)

_RECORD_BYTES = 16 * 1024
"""The longest TLS record. A shorter read could leave decrypted bytes that the selector does not see."""

_WOULD_WAIT = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)

_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This server speaks HTTPS on this port; use https in its URL.\n"
)

_Stamp = tuple[int, int, int, int]


class ServerTls:
    """The certificate and key of a server; they are read again when the files change. cheroot calls `bind` and `wrap`.

    Raises InvalidConfiguration for files that cannot be used.
    """

    makefile = None  # cheroot passes it on to Connection, which does not need it

    def __init__(self, *, cert_file: Path, key_file: Path) -> None:
        self._cert_file, self._key_file = cert_file, key_file
        self._lock = threading.Lock()
        self._stamps = self._current_stamps()
        self._context = self._load()

    def bind(self, sock: socket.socket) -> socket.socket:
        """Return the listening socket unchanged."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """Return the connection's socket before its handshake, and the additions to the WSGI environment."""
        try:
            wrapped = self._current().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # the client has already closed the connection
            raise FatalSSLAlert(*error.args) from error
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def _current(self) -> ssl.SSLContext:
        """Return the context of the current files; the previous context while the files cannot be used."""
        with self._lock:
            if (stamps := self._current_stamps()) != self._stamps:
                self._stamps = stamps
                try:
                    self._context = self._load()
                    _log.info("The certificate %s was renewed", self._cert_file)
                except InvalidConfiguration as error:
                    _log.error("%s; the previous certificate stays in use", error)
            return self._context

    def _current_stamps(self) -> tuple[_Stamp | None, ...]:
        return tuple(_stamp(file) for file in (self._cert_file, self._key_file))

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # Without a password OpenSSL would prompt on the terminal.
            context.load_cert_chain(self._cert_file, self._key_file, password="")
        except ssl.SSLError as error:
            raise InvalidConfiguration(
                f"[api] cert_file {self._cert_file} and key_file {self._key_file} cannot be used together: "
                f"{error.reason or error}; give a certificate in PEM, those that signed it below it, and its key "
                "without a passphrase"
            ) from error
        except OSError as error:
            raise InvalidConfiguration(
                f"[api] cert_file {self._cert_file} or key_file {self._key_file} cannot be read: {error.strerror}; "
                "correct it, or let the user that the server runs as read it"
            ) from error
        return context


class TlsReceiveBuffer(ReceiveBuffer):
    """A receive buffer for a TLS connection; it first does the handshake."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._tls = sock
        self._has_handshake = False

    def _receive_ready(self) -> bytes:
        if self.is_ended:
            return b""
        timeout_s = self._tls.gettimeout()
        try:
            self._tls.settimeout(0)
            if not self._has_handshake:
                self._tls.do_handshake()
                self._has_handshake = True
            part = self._tls.recv(_RECORD_BYTES)
        except _WOULD_WAIT:
            return b""
        except OSError as error:
            self._explain(error)
            part = b""
        finally:
            with contextlib.suppress(OSError):  # closed meanwhile
                self._tls.settimeout(timeout_s)
        self.is_ended = not part
        return part

    def _explain(self, error: OSError) -> None:
        """Answer a client that speaks plain HTTP; log the reason of any other failed handshake."""
        if self._has_handshake or not isinstance(error, ssl.SSLError):
            return
        if error.reason == "HTTP_REQUEST":
            with contextlib.suppress(OSError):
                os.write(self._tls.fileno(), _PLAIN_HTTP)
        else:
            _log.debug("A client aborted the TLS handshake: %s", error.reason or error)


def end_tls(sock: socket.socket) -> None:
    """Send the end of the encrypted stream, without waiting for the client's; nothing on a socket without TLS."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):  # the socket would block, is closed, or has had no handshake
            sock.settimeout(0)
            sock.unwrap()


def _stamp(file: Path) -> _Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
