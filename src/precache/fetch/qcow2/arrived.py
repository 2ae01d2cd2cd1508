"""The bytes of a stream that are at hand: the block that arrives, and what is still needed of earlier ones."""

from __future__ import annotations

from precache.core.errors import InvariantBroken


class ArrivedBytes:
    """A window over the stream. end: how many bytes have arrived."""

    __slots__ = ("_block", "_block_start", "_earlier", "_start", "end")

    def __init__(self) -> None:
        self._earlier = bytearray()
        self._start = 0
        self._block = memoryview(b"")
        self._block_start = 0
        self.end = 0

    def append(self, block: memoryview) -> None:
        """Add the next block of the stream; it is used until `keep_from` is called."""
        self._block, self._block_start = block, self.end
        self.end += len(block)

    def take(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to before `end`; these must be at hand."""
        if start >= self._block_start:
            return self._block[start - self._block_start : end - self._block_start]
        joined = self._earlier[self._index(start) : end - self._start]
        if end > self._block_start:
            joined += self._block[: end - self._block_start]
        return memoryview(joined)

    def end_of_part(self, start: int, end: int, unit: int) -> int:
        """Return where a part that begins at `start` ends, at `end` or before it: blocks are not copied as a whole."""
        return min(end, -(-self._block_start // unit) * unit) if start < self._block_start else end

    def keep_from(self, start: int) -> None:
        """Copy what is needed from `start` on; the block is not used any more."""
        if start >= self._block_start:
            self._earlier = bytearray(self._block[start - self._block_start :])
        else:
            del self._earlier[: self._index(start)]
            self._earlier += self._block
        self._start = start
        self._block, self._block_start = memoryview(b""), self.end

    def kept(self) -> tuple[int, bytes]:
        """Return the offset and the bytes that are kept."""
        return self._start, bytes(self._earlier)

    def _index(self, offset: int) -> int:
        if offset < self._start:
            raise InvariantBroken(
                f"byte {offset} of a stream is needed, but only those from {self._start} on were kept"
            )
        return offset - self._start
