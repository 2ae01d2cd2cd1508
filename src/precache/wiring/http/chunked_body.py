"""Reads a chunked body of a request (RFC 9112, 7.1). A chunk of any length is never in memory as a whole."""

from __future__ import annotations

import re
from typing import BinaryIO

_BLOCK_BYTES = 64 * 1024
_LONGEST_LINE_BYTES = 256
_MOST_TRAILERS = 20

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;[^\r\n]*)?\r\n")


class ChunkedBody:
    """A WSGI input. `closed` is true when all is read, trailers included; the next request follows in the source.

    Reads raise ValueError for malformed chunks, OSError if the body ends too early.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._left = 0
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """Return `size` bytes, by default all; fewer only at the end."""
        body = bytearray()
        wanted = float("inf") if size is None or size < 0 else size
        while len(body) < wanted and not self.closed:
            if not self._left:
                self._begin_chunk()
                continue
            part = self._source.read(int(min(self._left, wanted - len(body), _BLOCK_BYTES)))
            if not part:
                raise _ended_early()
            body += part
            self._left -= len(part)
            if not self._left and self._line() != b"\r\n":
                raise ValueError("a chunk is longer than its size")
        return bytes(body)

    def _begin_chunk(self) -> None:
        match = _SIZE_LINE.fullmatch(self._line())
        if match is None:
            raise ValueError("a chunk begins without its size")
        self._left = int(match[1], 16)
        if self._left:
            return
        for _ in range(_MOST_TRAILERS):
            if self._line() == b"\r\n":
                self.closed = True
                return
        raise ValueError("too many trailers")

    def _line(self) -> bytes:
        line = self._source.readline(_LONGEST_LINE_BYTES)
        if not line.endswith(b"\n") and len(line) < _LONGEST_LINE_BYTES:
            raise _ended_early()
        return line


def _ended_early() -> OSError:
    return ConnectionError("the client closed the connection before the end of its request")
