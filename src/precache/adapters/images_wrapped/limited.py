"""A limit on the number of concurrent transfers from the image service."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from precache.adapters.images_wrapped.stream import WatchedStream
from precache.background.cancel_token import CancelToken
from precache.core.errors import ImageServiceUnavailable
from precache.core.images import Image, ImageId
from precache.ports.image_service import ImageSource, ImageStream

PATIENCE = timedelta(hours=1)  # as long as a large image may take over a slow link

_SLICE_S = 0.2  # interval at which a waiting caller checks `stop`
_PLACE = "(own limit)"


class Limited:
    """An `ImageSource` whose `open` waits for one of `connections` slots; closing the stream frees the slot.

    A wait that exceeds `patience` or is cancelled raises ImageServiceUnavailable. `show` does not wait.
    """

    def __init__(self, inner: ImageSource, *, connections: int, patience: timedelta = PATIENCE) -> None:
        if connections < 1:
            raise ValueError(f"at least one connection is needed, not {connections}")
        self._inner, self._connections, self._patience = inner, connections, patience
        self._places = threading.BoundedSemaphore(connections)

    def show(self, image: ImageId) -> Image:
        return self._inner.show(image)

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        self._take_place(stop)
        try:
            stream = self._inner.open(image, offset_bytes, stop=stop)
        except BaseException:
            self._places.release()
            raise
        return WatchedStream(stream, on_close=self._places.release)

    def _take_place(self, stop: CancelToken | None) -> None:
        end = time.monotonic() + self._patience.total_seconds()
        while stop is None or not stop.is_cancelled:
            remaining = end - time.monotonic()
            if self._places.acquire(timeout=min(max(remaining, 0), _SLICE_S)):
                return
            if remaining <= 0:
                raise ImageServiceUnavailable(
                    _PLACE, f"all {self._connections} connections were in use for {self._patience}"
                )
        raise ImageServiceUnavailable(_PLACE, "the request for the image has ended")
