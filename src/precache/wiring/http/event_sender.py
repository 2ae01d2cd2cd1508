"""Sends streams of events to all their readers in one thread. No write waits: a slow reader delays no other.

A reader that falls too far behind, or takes nothing for a while, is cut off; it can connect again.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from precache.api.events.frames import HEARTBEAT
from precache.api.events.stream import HEARTBEAT_S, EventStream
from precache.background.log_exceptions import log_exceptions
from precache.background.threads import start_thread

_log = logging.getLogger(__name__)

STALL_S = 30.0
"""A reader that takes none of the waiting bytes for this time is cut off."""

SEND_BUFFER_BYTES = 128 * 1024
"""What the system may hold for one reader; by default it may be megabytes."""

_TURN_BYTES = 256 * 1024
"""About how much one reader is sent before the next one has its turn."""

_RECEIVE_BYTES = 4096
_CHECK_S = 1.0
_LAST_CHUNK = b"0\r\n\r\n"

_WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Reader:
    """A socket whose response has begun, and the rest of what it is to be sent.

    release: closes the socket. must_end: nothing but the regular end follows what the stream has now.
    """

    def __init__(self, sock: socket.socket, stream: EventStream, *, is_chunked: bool, release: Callable[[], None]):
        self.socket, self.stream, self.release = sock, stream, release
        self._is_chunked = is_chunked
        self._unsent = memoryview(b"")
        self._has_ending = False
        self.must_end = self.is_closed = False
        self.sent_at = time.monotonic()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    @property
    def is_done(self) -> bool:
        return self._has_ending and not self._unsent

    def send(self) -> bool:
        """Send what the socket accepts now; return whether it may accept more. Raises OSError if it is broken."""
        sent = 0
        while sent < _TURN_BYTES:
            if not self._unsent and not self._refill():
                return False
            try:
                count = self.socket.send(self._unsent)
            except _WOULD_WAIT:
                return True
            self._unsent = self._unsent[count:]
            self.sent_at = time.monotonic()
            sent += count
        return True

    def add_heartbeat(self) -> None:
        self._unsent = memoryview(self._chunk(HEARTBEAT))

    def _refill(self) -> bool:
        part = self.stream.take()
        if part:
            self._unsent = memoryview(self._chunk(part))
        elif (self.stream.is_finished or self.must_end) and not self._has_ending:
            self._has_ending = True
            self._unsent = memoryview(_LAST_CHUNK if self._is_chunked else b"")
        return bool(self._unsent)

    def _chunk(self, part: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part


class EventSender:
    """Takes sockets over from the HTTP server. Its thread starts with the first one. Call `stop` in any case."""

    def __init__(self, *, heartbeat_s: float = HEARTBEAT_S, stall_s: float = STALL_S) -> None:
        self._heartbeat_s, self._stall_s = heartbeat_s, stall_s
        self._check_s = min(_CHECK_S, heartbeat_s, stall_s)
        self._lock = threading.Lock()
        self._new: list[_Reader] = []
        self._readers: dict[int, _Reader] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._is_rung = self._is_stopping = False
        self._thread: threading.Thread | None = None

    def add(self, sock: socket.socket, stream: EventStream, *, is_chunked: bool, release: Callable[[], None]) -> None:
        """Send the stream to the socket, whose response has begun.

        release: called at the end, to close the socket. Raises RuntimeError if the system can start no further thread.
        """
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        stream.wake = self.wake
        with self._lock:
            if self._thread is None:
                self._thread = start_thread(self._run, name="http-events")
            self._new.append(_Reader(sock, stream, is_chunked=is_chunked, release=release))
        self.wake()

    def wake(self) -> None:
        """Look for new events of all streams soon. Cheap; from any thread."""
        with self._lock:
            if not self._is_rung:
                self._is_rung = True
                with contextlib.suppress(OSError):  # the thread has ended
                    self._button.send(b"1")

    def stop(self, patience: timedelta) -> None:
        """Close all connections, those that can be sent everything at once with a regular end."""
        self._is_stopping = True
        self.wake()
        if self._thread is not None:
            self._thread.join(patience.total_seconds())
        else:
            self._close_parts()

    def _run(self) -> None:
        while not self._is_stopping:
            with log_exceptions(what="Sending events", then="continues"):
                self._turn()
        for reader in [*self._readers.values(), *self._take_new()]:
            reader.must_end = True
            self._serve(reader)
            self._close(reader)
        self._close_parts()

    def _close_parts(self) -> None:
        self._selector.close()
        self._bell.close()
        self._button.close()

    def _turn(self) -> None:
        for key, mask in self._selector.select(self._check_s if self._readers else None):
            reader = key.data
            if reader is None:
                self._answer_bell()
            elif reader.is_closed:
                continue
            elif mask & selectors.EVENT_READ and not _is_open(reader.socket):
                self._close(reader)
            elif mask & selectors.EVENT_WRITE:
                self._serve(reader)
        self._check_times()

    def _answer_bell(self) -> None:
        with self._lock:
            self._is_rung = False
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(_RECEIVE_BYTES)
        for reader in self._take_new():
            self._readers[reader.socket.fileno()] = reader
            self._selector.register(reader.socket, selectors.EVENT_READ, reader)
        for reader in list(self._readers.values()):
            if not reader.has_unsent:
                self._serve(reader)

    def _take_new(self) -> list[_Reader]:
        with self._lock:
            new, self._new = self._new, []
        return new

    def _serve(self, reader: _Reader) -> None:
        """Send to one reader, and close it at its end or after a failure."""
        try:
            has_more = reader.send()
        except (OSError, ValueError):  # the latter from an encrypted connection that the client has ended
            self._close(reader)
            return
        if reader.is_done or reader.stream.is_cut:
            if reader.stream.is_cut:
                _log.info("A reader of events was too slow and is cut off; it can connect again")
            self._close(reader)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if has_more else 0)
        if reader.socket.fileno() in self._readers and self._selector.get_key(reader.socket).events != wanted:
            self._selector.modify(reader.socket, wanted, reader)

    def _check_times(self) -> None:
        now = time.monotonic()
        for reader in list(self._readers.values()):
            silent_s = now - reader.sent_at
            if reader.stream.is_cut:
                self._serve(reader)
            elif reader.has_unsent:
                if silent_s >= self._stall_s:
                    _log.info("A reader of events took nothing for %.0f s and is cut off", silent_s)
                    self._close(reader)
            elif silent_s >= self._heartbeat_s:
                reader.add_heartbeat()
                self._serve(reader)
            elif now >= reader.stream.expires_at:
                self._serve(reader)

    def _close(self, reader: _Reader) -> None:
        if reader.is_closed:
            return
        reader.is_closed = True
        reader.stream.close()
        if self._readers.pop(reader.socket.fileno(), None):
            self._selector.unregister(reader.socket)
        reader.release()


def _is_open(sock: socket.socket) -> bool:
    """Return False if the client has closed the connection; whatever it sends is discarded."""
    try:
        return bool(sock.recv(_RECEIVE_BYTES))
    except _WOULD_WAIT:
        return True
    except OSError:
        return False
