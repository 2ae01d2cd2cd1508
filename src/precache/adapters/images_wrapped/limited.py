"""At most so many transfers from the image service at once."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import TracebackType

from precache.core.errors import ImageServiceUnavailable
from precache.core.images import Image, ImageId
from precache.ports.image_service import ImageSource, ImageStream, IsWanted, for_ever

PATIENCE = timedelta(hours=1)  # as long as a large image may take over a thin link

_SLICE_S = 0.2  # how soon somebody who waits for a place learns that nobody wants the image any more
_PLACE = "(own limit)"


class Limited:
    """An `ImageSource` whose `open` waits for one of `connections` places; closing the stream gives it back.

    Whoever waits longer than `patience`, or is not wanted any more, gets ImageServiceUnavailable. Records are shown
    without waiting.
    """

    def __init__(self, inner: ImageSource, *, connections: int, patience: timedelta = PATIENCE) -> None:
        if connections < 1:
            raise ValueError(f"at least one connection is needed, not {connections}")
        self._inner, self._connections, self._patience = inner, connections, patience
        self._places = threading.BoundedSemaphore(connections)

    def show(self, image: ImageId) -> Image:
        return self._inner.show(image)

    def open(self, image: ImageId, offset_bytes: int = 0, *, is_wanted: IsWanted = for_ever) -> ImageStream:
        self._take_place(is_wanted)
        try:
            return _Placed(self._inner.open(image, offset_bytes, is_wanted=is_wanted), self._places)
        except BaseException:
            self._places.release()
            raise

    def _take_place(self, is_wanted: IsWanted) -> None:
        end = time.monotonic() + self._patience.total_seconds()
        while is_wanted():
            remaining = end - time.monotonic()
            if self._places.acquire(timeout=min(max(remaining, 0), _SLICE_S)):
                return
            if remaining <= 0:
                raise ImageServiceUnavailable(
                    _PLACE, f"all {self._connections} connections were in use for {self._patience}"
                )
        raise ImageServiceUnavailable(_PLACE, "nobody waits for the image any more")


class _Placed:
    """A stream that gives its place back, once, when it is closed."""

    def __init__(self, inner: ImageStream, places: threading.BoundedSemaphore) -> None:
        self._inner, self._places = inner, places
        self._lock = threading.Lock()
        self._has_place = True

    @property
    def remaining_bytes(self) -> int | None:
        return self._inner.remaining_bytes

    def readinto(self, buffer: memoryview) -> int:
        return self._inner.readinto(buffer)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            with self._lock:
                had_place, self._has_place = self._has_place, False
            if had_place:
                self._places.release()

    def __enter__(self) -> ImageStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
