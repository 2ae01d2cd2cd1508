"""A stream that notifies the wrapper of its source."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from precache.core.errors import TransferInterrupted
from precache.ports.image_service import ImageStream


def _nothing() -> None:
    pass


class WatchedStream:
    """A stream with callbacks for a failed read and for its close.

    on_break: called each time a read fails while the stream is not closed.
    on_close: called once, after the first `close`, even if that failed.
    """

    def __init__(
        self, inner: ImageStream, *, on_break: Callable[[], None] = _nothing, on_close: Callable[[], None] = _nothing
    ) -> None:
        self._inner, self._on_break, self._on_close = inner, on_break, on_close
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def remaining_bytes(self) -> int | None:
        return self._inner.remaining_bytes

    @property
    def has_marked_end(self) -> bool:
        return self._inner.has_marked_end

    def readinto(self, buffer: memoryview) -> int:
        try:
            return self._inner.readinto(buffer)
        except TransferInterrupted:
            if not self._is_closed:
                self._on_break()
            raise

    def close(self) -> None:
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        try:
            self._inner.close()
        finally:
            if not was_closed:
                self._on_close()

    def __enter__(self) -> ImageStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
