"""Serves the pieces of images to other hosts: HTTP/1.1 over mutual TLS, one thread for each connection.

Here are the port and its threads; what a caller may have is in `pieces_request.py`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import ssl
import threading
import time

from precache.background.log_exceptions import log_exceptions
from precache.background.threads import start_thread
from precache.core.errors import PortsUnusable, PrecacheError
from precache.swarm.host_trust import HostTrust
from precache.swarm.offers import MOST_HANDSHAKES, Connection, Offers, Serving
from precache.swarm.pace import Pace
from precache.swarm.pieces_request import PiecesRequest, ServingLimits
from precache.swarm.refusal_log import RefusalLog
from precache.swarm.relay_file import RelayFile

_log = logging.getLogger(__name__)

_UNSENT_BYTES = 128 << 10
"""Of one connection, beside what is on its way. With more, an offer would reach a slow host late, behind old pieces."""

_SEE_ITS_LOG = "; if this is a host of the cloud, its own log says what is wrong with its certificate"
_CROWDED = (
    f"it was the oldest of {MOST_HANDSHAKES} that have shown no certificate, and made room for a new one; hosts are "
    "still served, but find out who opens so many"
)
_FULL = "too many connections end at this moment; a host of the cloud tries again by itself"

_LOOK_S = 0.25
_STOP_S = 2.0


class PiecesServer:
    """Serves the files that are offered. Thread-safe, but for `start` and `stop`.

    address: an IP address to listen on. ports: the first and the last of those to try.
    """

    def __init__(self, *, trust: HostTrust, address: str, ports: tuple[int, int], limits: ServingLimits) -> None:
        self._trust, self._limits = trust, limits
        self._address, self._ports = address, ports
        self._offers = Offers(most_receivers=limits.max_connections, wait_s=limits.offer_wait_s)
        self._pace = Pace(limits.upload_rate)
        self._refusals = RefusalLog()
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._wake: socket.socket | None = None

    def start(self) -> None:
        """Listen on the first free port. Raises PortsUnusable."""
        listening = _listen(self._address, self._ports)
        self._listening = listening
        self._stopping.clear()
        self._wake, woken = socket.socketpair()
        self._thread = start_thread(lambda: self._accept_all(listening, woken), name="pieces-server")

    def stop(self) -> None:
        """End all connections, and listen no more. Safe to repeat."""
        self._stopping.set()
        if self._thread is not None and self._wake is not None:
            self._wake.close()
            self._thread.join(_STOP_S)
        self._thread = self._listening = self._wake = None
        self._offers.cut(lambda _connection: True)

    @property
    def port(self) -> int:
        """Return the port on which it listens; 0 if it does not."""
        return int(self._listening.getsockname()[1]) if self._listening is not None else 0

    def offer(self, relay: str, file: RelayFile) -> None:
        """Serve this file to hosts with a ticket for the relay. Another file of the relay is served no more."""
        self._offers.add(relay, file)

    def withdraw(self, relay: str) -> None:
        """Serve the relay no more, and end what is being sent of it. Does nothing if it is not offered."""
        self._offers.remove(relay)

    def serving(self, relay: str) -> Serving:
        """Return what was sent of the relay, and who receives it now."""
        return self._offers.serving(relay)

    def _accept_all(self, listening: socket.socket, woken: socket.socket) -> None:
        with listening, woken, selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                with log_exceptions(what="Accepting connections of other hosts"):
                    is_ready = selector.select(_LOOK_S)
                    self._offers.cut_late(time.monotonic())
                    self._refusals.flush()
                    if is_ready and not self._stopping.is_set():
                        self._accept(listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, (address, *_) = listening.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):  # the caller has closed it meanwhile
                _log.warning("No connection of another host can be accepted: %s", error.strerror)
                self._stopping.wait(_LOOK_S)
            return
        connection = self._connection(sock, address)
        if connection is None:
            sock.close()
            return
        try:
            start_thread(lambda: self._serve(connection), name=f"pieces-to-{address}")
        except RuntimeError as error:
            self._refusals.warn("A connection", address, str(error))
            self._close(connection)

    def _connection(self, sock: socket.socket, address: str) -> Connection | None:
        """Return the connection before its handshake; None if it is refused."""
        if self._offers.is_full:
            self._refusals.warn("A connection", address, _FULL)
            return None
        try:
            _set_options(sock, self._limits.send_timeout_s)
            wrapped = self._trust.server_context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except PrecacheError as error:
            self._refusals.warn("A connection", address, error.message)
            return None
        except OSError:  # the caller has closed it
            return None
        connection = Connection(wrapped, address, time.monotonic() + self._limits.handshake_timeout_s)
        if (crowding := self._offers.connect(connection)) is not None:
            self._refusals.warn("A connection", crowding.address, _CROWDED)
        return connection

    def _serve(self, connection: Connection) -> None:
        try:
            with log_exceptions(what="Sending pieces", of=f"to {connection.address}"):
                if self._limits.priority is not None:
                    self._limits.priority.lower()
                if self._has_handshake(connection):
                    connection.deadline = time.monotonic() + self._limits.request_timeout_s
                    PiecesRequest(connection, self._trust, self._offers, self._pace, self._limits, self._refusals)
        finally:
            self._close(connection)

    def _has_handshake(self, connection: Connection) -> bool:
        """Do the handshake; return False, after a line in the log, if the caller is refused."""
        try:
            connection.sock.do_handshake()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):
            _log.debug("The connection from %s ended during the handshake", connection.address)
        except OSError as error:
            if not connection.is_cut:
                self._refusals.warn("A connection", connection.address, f"{_reason(error)}{_SEE_ITS_LOG}")
        else:
            peer = self._trust.identify(connection.sock)
            self._offers.certify(connection, peer.host if peer else "unknown")
            return True
        return False

    def _close(self, connection: Connection) -> None:
        self._offers.disconnect(connection)
        with contextlib.suppress(OSError):
            connection.sock.close()


def _set_options(sock: socket.socket, send_timeout_s: float) -> None:
    """Send each piece at once, keep little in the kernel, and notice a caller that lost its power. Raises OSError."""
    sock.settimeout(send_timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    # Sending an offer never blocks, because it is small: without this the connection would last for many minutes.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_timeout_s * 1500))


def _reason(error: OSError) -> str:
    """Return why the handshake failed, in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error)


def _listen(address: str, ports: tuple[int, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in range(ports[0], ports[1] + 1):
        try:
            listening = socket.create_server((address, port), family=family, backlog=128)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port < ports[1]:
                continue
            reason = "all are in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise PortsUnusable(address, ports, reason) from error
        listening.setblocking(False)
        return listening
    raise PortsUnusable(address, ports, "there are none")
