"""A connection to another host, whose waits are short: each ends by data, by the caller's check, or by silence.

It is a file object for `http.client`, which reads the head and the chunks of the answer from it.
"""

from __future__ import annotations

import io
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

from precache.core.errors import PeerLost
from precache.core.relays import Peer
from precache.fetch.rate_limits import RateLimit
from precache.swarm.host_trust import HostTrust
from precache.swarm.pace import Pace

T = TypeVar("T")

CONNECT_S = 2.0

_POLL_S = 0.1
"""The longest wait without a call of the check, and the time between two calls while data flows."""

_RECORD_BYTES = 16 << 10
_BUFFER_BYTES = 4 << 10
"""Of the reader. Only within a record does it ask for more at once, and then for what certainly comes."""


class PeerConnection(io.RawIOBase):
    """A connection to the host that is meant, and to no other. Used by one thread.

    silence_s: a host from which no byte comes for so long is lost, as is one that does not accept the connection within
    CONNECT_S. record_s: one that sends single bytes is not silent; it is lost after so long without a whole record.
    These and all other failures of the connection are raised as PeerLost.
    check: called every 0.1 s; what it raises ends the wait. Raises RelayRefused if this host has no certificate.
    """

    def __init__(
        self,
        peer: Peer,
        trust: HostTrust,
        *,
        pace: Pace,
        limit: RateLimit,
        check: Callable[[], object],
        silence_s: float,
        record_s: float,
    ) -> None:
        self._peer, self._pace, self._check, self._silence_s = peer, pace, check, silence_s
        self._limit, self._own_pace = limit, Pace(limit.rate_now)
        self._record_s = record_s
        self._check_at = self._heard_at = self._record_at = time.monotonic()
        self._has_answered = False
        context = trust.client_context()
        try:
            self._sock = context.wrap_socket(self._connect(), do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            raise self._lost(error) from error
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        try:
            self._repeat(self._sock.do_handshake)
            if not trust.is_host(self._sock, peer.host):
                found = trust.identify(self._sock)
                raise PeerLost(peer.host, f"at {peer.address} is {f'host {found.host}' if found else 'another host'}")
        except BaseException:
            self.close()
            raise

    def makefile(self, *_: object) -> io.BufferedReader:
        """Return the buffered reader of the answer, as `http.client` asks for it."""
        return io.BufferedReader(self, _BUFFER_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; return 0 at the end of the stream."""
        view = memoryview(buffer)
        if self._pace.is_free and self._own_pace.is_free:
            return self._read_piece(view) if len(view) > _BUFFER_BYTES else self._read(view)
        count = self._read(view[: self._own_pace.most_bytes(self._pace.most_bytes(len(view)))])
        self._pace.wait(count, self._nap)
        self._own_pace.wait(count, self._nap_for_limit)
        return count

    def _read(self, view: memoryview) -> int:
        count = self._repeat(lambda: self._sock.recv_into(view))
        self._has_answered = self._has_answered or count > 0
        return count

    def _read_piece(self, view: memoryview) -> int:
        """Read all, if it arrives soon: the kernel waits for the whole, else each packet would wake this thread."""
        sock = self._sock
        if sock.pending():
            return self._read(view)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(view))
        is_here = bool(self._poll.poll(_POLL_S * 1000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        count = got = self._read(view)
        while is_here and got and count < len(view):
            got = self._read(view[count:])
            count += got
        return count

    def sendall(self, data: bytes) -> None:
        """Send all."""
        sent = 0
        while sent < len(data):
            part = data[sent : sent + _RECORD_BYTES]
            sent += self._repeat(lambda part=part: self._sock.send(part))  # type: ignore[misc]
            self.note_record()

    def note_record(self) -> None:
        """Note that a whole record has come."""
        self._record_at = time.monotonic()

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()
        super().close()

    def _connect(self) -> socket.socket:
        """Return a connected socket. Raises OSError, ValueError."""
        address = urlsplit(f"//{self._peer.address}")
        family, kind, protocol, _, where = socket.getaddrinfo(address.hostname, address.port, type=socket.SOCK_STREAM)[
            0
        ]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect_ex(where)
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            deadline = time.monotonic() + CONNECT_S
            while not poll.poll(_POLL_S * 1000):
                self._check_now()
                if time.monotonic() > deadline:
                    raise PeerLost(self._peer.host, f"{self._peer.address} accepts no connection", is_silent=True)
            if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, os.strerror(error))
            sock.settimeout(_POLL_S)
        except BaseException:
            sock.close()
            raise
        self._heard_at = time.monotonic()
        return sock

    def _repeat(self, action: Callable[[], T]) -> T:
        """Return the result of the action, which is repeated while it waits for the other host."""
        while True:
            self._check_now()
            try:
                result = action()
            except TimeoutError as error:
                if error.errno is not None or time.monotonic() - self._heard_at > self._silence_s:
                    raise self._lost(error) from error
            except OSError as error:
                raise self._lost(error) from error
            else:
                self._heard_at = time.monotonic()
                return result

    def _check_now(self) -> None:
        now = time.monotonic()
        if now >= self._check_at:
            self._check_at = now + _POLL_S
            self._check()
            if now - self._record_at > self._record_s:
                raise PeerLost(self._peer.host, f"it has sent no whole record for {self._record_s:g} seconds")

    def _nap(self, seconds: float) -> None:
        self._record_at += seconds  # this host's own limit
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            self._check_now()
            time.sleep(min(left_s, _POLL_S))
        self._heard_at = time.monotonic()

    def _nap_for_limit(self, seconds: float) -> None:
        self._nap(seconds)
        self._limit.note_wait(seconds)

    def _lost(self, error: Exception) -> PeerLost:
        return PeerLost(self._peer.host, self._reason(error), is_silent=isinstance(error, TimeoutError))

    def _reason(self, error: Exception) -> str:
        match error:
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionResetError() | BrokenPipeError() if (
                not self._has_answered
            ):
                return "it closed the connection before it answered; its log says why if it refused this host"
            case ssl.SSLCertVerificationError():
                return f"its certificate is not accepted ({error.verify_message})"
            case ssl.SSLError():
                return f"TLS failed ({(error.reason or str(error)).lower().replace('_', ' ')})"
            case TimeoutError(errno=None):
                return f"it has sent nothing for {self._silence_s:g} seconds"
            case OSError():
                return error.strerror or str(error)
        return str(error)
