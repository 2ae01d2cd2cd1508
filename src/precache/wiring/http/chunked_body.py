"""The body of a request that comes in chunks (RFC 9112, 7.1). A chunk is never held as a whole, however long it is."""

from __future__ import annotations

import re
from typing import Protocol

_BLOCK_BYTES = 64 * 1024
_LONGEST_LINE = 256  # characters; a size has eight of them, and nobody here uses extensions
_MOST_TRAILERS = 20

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;[^\r\n]*)?\r\n")


class Source(Protocol):
    def read(self, size: int) -> bytes: ...
    def readline(self, size: int) -> bytes: ...


class ChunkedBody:
    """A WSGI input. `closed` once the end was read, trailers included, and the next request begins.

    Reads raise ValueError for what are no chunks, OSError if they break off.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """Return so many bytes, all of them by default; fewer only at the end."""
        body = bytearray()
        wanted = float("inf") if size is None or size < 0 else size
        while len(body) < wanted and not self.closed:
            if not self._left:
                self._begin()
                continue
            part = self._source.read(int(min(self._left, wanted - len(body), _BLOCK_BYTES)))
            if not part:
                raise _broken_off()
            body += part
            self._left -= len(part)
            if not self._left and self._line() != b"\r\n":
                raise ValueError("a chunk is longer than it said")
        return bytes(body)

    def _begin(self) -> None:
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
        line = self._source.readline(_LONGEST_LINE)
        if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
            raise _broken_off()
        return line


def _broken_off() -> OSError:
    return ConnectionError("the client went before the end of its request")
