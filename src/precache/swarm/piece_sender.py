"""Sends the pieces of a file to one host as they come, in records within a chunked HTTP body."""

from __future__ import annotations

import time
from collections.abc import Callable
from ssl import SSLSocket

from precache.core.relays import PIECE_BYTES
from precache.swarm.news import Cursor
from precache.swarm.pace import Pace
from precache.swarm.relay_file import RelayFile
from precache.swarm.wire import (
    PIECE_HEAD,
    PREFIX_BYTES,
    RECORD_HEAD,
    HashBatch,
    RecordKind,
    hashes_content,
    offer_content,
    record,
)

OFFER_INTERVAL_S = 0.25
"""The receiver learns from offers how far it lags behind."""

_RECORD_BYTES = 16 << 10
"""Of TLS. Each has the whole send timeout: a slow receiver is cut off only if it takes less than this in that time."""

_LAST_CHUNK = b"0\r\n\r\n"


class PieceSender:
    """One stream to one host. Used by one thread.

    have: the have-list of the receiver. sent: called with each number of bytes that are sent.
    """

    def __init__(
        self, sock: SSLSocket, file: RelayFile, *, have: bytes, pace: Pace, sent: Callable[[int], object]
    ) -> None:
        self._sock, self._file, self._have, self._pace, self._sent = sock, file, have, pace, sent
        self._buffer = memoryview(bytearray(PIECE_BYTES))
        self._line_end = b""
        self._offer_at = 0.0

    def run(self) -> bool:
        """Send until everything was sent; return False if the file is not offered any more. Raises OSError."""
        cursor = Cursor()
        while True:
            news = self._file.wait_for_news(cursor, max(self._offer_at - time.monotonic(), 0))
            if news.is_closed:
                return False
            if news.root and not cursor.has_root:
                self._send_record(RecordKind.ROOT, news.root.encode("ascii"))
            for entry in news.entries:
                if isinstance(entry, HashBatch):
                    self._send_record(RecordKind.HASHES, hashes_content(entry))
                elif not self._is_there(entry) and not self._send_piece(entry):
                    return False
                self._offer()
            cursor = news.cursor
            self._offer(at_once=news.is_over)
            if news.is_over:
                self._send(memoryview(self._line_end + _LAST_CHUNK))
                return True

    def _is_there(self, index: int) -> bool:
        prefix = self._have[index * PREFIX_BYTES : (index + 1) * PREFIX_BYTES]
        return len(prefix) == PREFIX_BYTES and self._file.digest(index).startswith(prefix)

    def _send_piece(self, index: int) -> bool:
        length = self._file.read_into(index, self._buffer)
        if not length:
            return False
        content = PIECE_HEAD.size + length
        head = self._chunk_head(RECORD_HEAD.size + content) + RECORD_HEAD.pack(RecordKind.PIECE, content)
        # The head is a TLS record of its own: the receiver learns at once how much comes, and can wait for all of it.
        self._send(memoryview(head + PIECE_HEAD.pack(index)))
        self._send(self._buffer[:length])
        self._pace.wait(length, self._nap)
        return True

    def _nap(self, seconds: float) -> None:
        time.sleep(seconds)
        self._offer()

    def _offer(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now >= self._offer_at:
            self._offer_at = now + OFFER_INTERVAL_S
            self._send_record(RecordKind.OFFER, offer_content(self._file.have_bytes))

    def _send_record(self, kind: RecordKind, content: bytes) -> None:
        whole = record(kind, content)
        self._send(memoryview(self._chunk_head(len(whole)) + whole))

    def _chunk_head(self, length: int) -> bytes:
        """Return the end of the chunk before, and the size of the next one."""
        end, self._line_end = self._line_end, b"\r\n"
        return end + b"%X\r\n" % length

    def _send(self, data: memoryview) -> None:
        self._sent(len(data))
        while data:
            data = data[self._sock.send(data[:_RECORD_BYTES]) :]
