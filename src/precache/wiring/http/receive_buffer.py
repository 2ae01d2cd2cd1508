"""The bytes that a client has sent on a connection and the server has not read yet.

While the head of a request is incomplete, bytes are received without waiting: half a request costs a few bytes of
memory and no thread. Only reading a body waits. For one thread at a time.
"""

from __future__ import annotations

import os
import re
import socket
import time

HEAD_BYTES = 64 * 1024
"""The longest request line and headers together; a token of Keystone has at most some 8 kB."""

_BLOCK_BYTES = 64 * 1024
_END_OF_HEAD = re.compile(rb"\n\r?\n")


class ReceiveBuffer:
    """The file from which cheroot reads requests: `has_data`, `read`, `readline`, `close`, `closed`, `bytes_read`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._held = bytearray()
        self._scanned = 0
        self._deadline = float("inf")
        self.is_ended = False
        self.closed = False
        self.bytes_read = 0

    def fill(self) -> None:
        """Receive the bytes that have arrived, without waiting, until a head is complete or too long."""
        while not self.has_data() and (part := self._receive_ready()):
            self._held += part

    def has_data(self) -> bool:
        """Return whether a request can be read: its head is complete, or longer than a head may be."""
        # The end of a head may arrive in pieces.
        if _END_OF_HEAD.search(self._held, max(0, self._scanned - 2)) or len(self._held) >= HEAD_BYTES:
            return True
        self._scanned = len(self._held)
        return False

    def discard(self, most_bytes: int) -> int:
        """Discard the bytes that have arrived, at most about `most_bytes`, without waiting; return their number."""
        discarded = len(self._held)
        self._take(discarded)
        while discarded < most_bytes and (part := self._receive_ready()):
            discarded += len(part)
        return discarded

    def skip(self, size: int) -> bool:
        """Discard exactly `size` bytes if they have arrived; return whether they had."""
        while len(self._held) < size <= HEAD_BYTES and (part := self._receive_ready()):
            self._held += part
        if len(self._held) < size:
            return False
        self._take(size)
        return True

    def limit(self, seconds: float) -> None:
        """Let reads raise TimeoutError after this time."""
        self._deadline = time.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """Return `size` bytes; fewer only at the end of the stream. Raises OSError, also TimeoutError."""
        while len(self._held) < size and self._receive():
            pass
        return self._take(size)

    def readline(self, size: int = -1) -> bytes:
        """Return a line; without its line feed if it is longer than `size` or the stream ends. Raises like `read`."""
        longest = size if size >= 0 else HEAD_BYTES
        while (end := self._held.find(b"\n", 0, longest)) < 0 and len(self._held) < longest and self._receive():
            pass
        return self._take(end + 1 if end >= 0 else min(longest, len(self._held)))

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
            raise TimeoutError("timed out")  # cheroot compares this text
        part = self._socket.recv(_BLOCK_BYTES)
        self._held += part
        self.is_ended = not part
        return bool(part)

    def _receive_ready(self) -> bytes:
        """Return the bytes that can be received without waiting; empty if there are none yet, or at the end."""
        if self.is_ended:
            return b""
        try:
            # A socket with a timeout waits before it receives; its descriptor does not.
            part = os.read(self._socket.fileno(), _BLOCK_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            part = b""
        self.is_ended = not part
        return part
