"""TLS for the embedded HTTP server, with the same promise as without it: a silent client holds no thread.

cheroot's own adapter waits for the handshake in the thread that accepts connections, so that one client that says
nothing would keep all others out. Here the handshake is a part of what the inbox gathers without waiting.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from cheroot.errors import FatalSSLAlert

from precache.core.errors import InvalidConfiguration
from precache.wiring.http.receive_buffer import ReceiveBuffer

_log = logging.getLogger(__name__)

_RECORD_BYTES = 16 * 1024  # the most that one read of TLS gives
_WOULD_WAIT = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)

_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This server speaks HTTPS on this port; use https in its URL.\n"
)

_Stamp = tuple[int, int, int, int]


class ServerTls:
    """The server's certificate and key, read again when they are renewed. Has the methods that cheroot asks for.

    Raises InvalidConfiguration for files that cannot be used.
    """

    def __init__(self, *, cert_file: Path, key_file: Path) -> None:
        self._cert_file, self._key_file = cert_file, key_file
        self._lock = threading.Lock()
        self._stamp = self._found()
        self._context = self._load()

    def bind(self, sock: socket.socket) -> socket.socket:
        """Return the listening socket as it is."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """Return the connection's socket before its handshake, and what the WSGI environment has on it."""
        context = self._current()
        try:
            wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # the client has gone already
            raise FatalSSLAlert(*error.args) from error
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, *_arguments: Any) -> None:
        """cheroot passes this on to our `Connection`, which makes its files itself."""

    def _current(self) -> ssl.SSLContext:
        """Return the context with the present files; with the old ones while the new ones cannot be used."""
        with self._lock:
            if (found := self._found()) != self._stamp:
                self._stamp = found
                try:
                    self._context = self._load()
                    _log.info("The certificate %s was renewed", self._cert_file)
                except InvalidConfiguration as error:
                    _log.error("%s; the certificate from before stays in use", error)
            return self._context

    def _found(self) -> tuple[_Stamp | None, ...]:
        return tuple(_stamp(file) for file in (self._cert_file, self._key_file))

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # Without a password given, OpenSSL would ask the terminal for one.
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
    """An inbox whose bytes arrive encrypted; the first of them are the handshake's."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._tls = sock
        self._is_shaken = False

    def has_data(self) -> bool:
        # What TLS has decrypted already never makes the socket readable again: it must not be left there.
        while not self.is_ended and self._tls.pending() and not super().has_data():
            if (part := self._arrived()) is None:
                break
            self._held += part
        return super().has_data()

    def _arrived(self) -> bytes | None:
        patience_s = self._tls.gettimeout()
        try:
            self._tls.settimeout(0)
            if not self._is_shaken:
                self._tls.do_handshake()
                self._is_shaken = True
            part = self._tls.recv(_RECORD_BYTES)
        except _WOULD_WAIT:
            return None
        except OSError as error:
            self._explain(error)
            part = b""
        finally:
            with contextlib.suppress(OSError):  # closed meanwhile
                self._tls.settimeout(patience_s)
        self.is_ended = not part
        return part

    def _explain(self, error: OSError) -> None:
        """Answer a client that speaks plain HTTP; log why another one has no handshake."""
        if self._is_shaken or not isinstance(error, ssl.SSLError):
            return
        if error.reason == "HTTP_REQUEST":
            with contextlib.suppress(OSError):
                os.write(self._tls.fileno(), _PLAIN_HTTP)
        else:
            _log.debug("A client gave up the TLS handshake: %s", error.reason or error)


def end_tls(sock: socket.socket) -> None:
    """Send the end of the encrypted stream, without waiting for the client's; nothing on a socket without TLS."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):  # it waits, is closed, or never had a handshake
            sock.settimeout(0)
            sock.unwrap()


def _stamp(file: Path) -> _Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
