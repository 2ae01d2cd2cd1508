"""What a client has sent on a connection and nobody has read yet.

It is gathered without waiting while a request's head is incomplete, so that a client that sends half of one holds a
few bytes of memory and no thread. Only who reads a body waits. One thread at a time.
"""

from __future__ import annotations

import os
import re
import socket
import time

HEAD_BYTES = 64 * 1024
"""The longest request line and headers together; a token of Keystone's has at most some 8 kB."""

_BLOCK_BYTES = 64 * 1024
_END_OF_HEAD = re.compile(rb"\n\r?\n")


class ReceiveBuffer:
    """The file that the server reads requests from, by `has_data`, `read`, `readline`, `close` and `closed`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._held = bytearray()
        self._scanned = 0
        self._deadline = float("inf")
        self.is_ended = False
        self.closed = False
        self.bytes_read = 0

    def gather(self) -> None:
        """Take what has arrived, without waiting, until a head is complete or too long."""
        while not (self.has_data() or self.is_ended):
            part = self._arrived()
            if part is None:
                return
            self._held += part

    def has_data(self) -> bool:
        """Return whether a request can be begun: its head is here, or more than a head may have."""
        # The end of a head may have come in pieces.
        if _END_OF_HEAD.search(self._held, max(0, self._scanned - 2)) or len(self._held) >= HEAD_BYTES:
            return True
        self._scanned = len(self._held)
        return False

    def discard(self, most_bytes: int) -> int:
        """Forget what has arrived, without waiting, and say how much it was; most_bytes: about when to stop."""
        discarded = len(self._held)
        self._take(discarded)
        while discarded < most_bytes and not self.is_ended and (part := self._arrived()) is not None:
            discarded += len(part)
        return discarded

    def skip(self, size: int) -> bool:
        """Read over so many bytes if they are here already; else leave all as it is, and say False."""
        while len(self._held) < size <= HEAD_BYTES and (part := self._arrived()):
            self._held += part
        if len(self._held) < size:
            return False
        self._take(size)
        return True

    def limit(self, seconds: float) -> None:
        """Have reads raise TimeoutError from then on."""
        self._deadline = time.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """Wait for so many bytes; fewer only at the end of the stream. Raises OSError, TimeoutError among them."""
        while len(self._held) < size and self._receive():
            pass
        return self._take(size)

    def readline(self, size: int = -1) -> bytes:
        """Wait for a line; without its end after `size` bytes, or at the end of the stream. Raises like `read`."""
        start = 0
        while (end := self._held.find(b"\n", start)) < 0 and not 0 <= size <= len(self._held):
            start = len(self._held)
            if start >= HEAD_BYTES or not self._receive():
                break
        length = end + 1 if end >= 0 else len(self._held)
        return self._take(min(length, size) if size >= 0 else length)

    def close(self) -> None:
        self.closed = True
        self._held.clear()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        self._scanned = 0
        self.bytes_read += len(taken)
        return taken

    def _receive(self) -> bool:
        if time.monotonic() > self._deadline:
            raise TimeoutError("timed out")  # the library's own words, by which the server knows it
        part = self._socket.recv(_BLOCK_BYTES)
        self._held += part
        self.is_ended = not part
        return bool(part)

    def _arrived(self) -> bytes | None:
        """Return what is there, nothing at the end of the stream, None if one would have to wait."""
        try:
            # A socket with a timeout waits before it receives; its descriptor does not.
            part = os.read(self._socket.fileno(), _BLOCK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            part = b""
        self.is_ended = not part
        return part
