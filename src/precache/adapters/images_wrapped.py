"""Wrappers for any `ImageSource`: a retry, a limit on transfers, a failover. Wiring chooses and orders them.

Example: `Retrying(Limited(Failover([GlanceImages(...), ...]), connections=4))`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol, TypeVar

from precache.background.backoff import SERVICE_RESTARTS, retry_until
from precache.background.cancel_token import CancelToken
from precache.core.errors import ImageServiceUnavailable, ServiceTokenUnavailable, TransferInterrupted
from precache.core.image_list import ImageList
from precache.core.images import Image, ImageId
from precache.ports.clock import Clock
from precache.ports.image_service import ImageCatalog, ImageListing, ImageSource, ImageStream

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PATIENCE = timedelta(hours=1)  # as long as a large image may take over a slow link

_SLICE_S = 0.2  # interval at which a waiting caller checks `stop`
_PLACE = "(own limit)"


class Retrying:
    """An `ImageSource` that calls `show` up to `attempts` times, with growing waits between them.

    `open` is not retried: the transfer knows its offset and resumes by itself.
    """

    def __init__(self, inner: ImageSource, *, clock: Clock, attempts: int = 3) -> None:
        if attempts < 1:
            raise ValueError(f"at least one attempt is needed, not {attempts}")
        self._inner, self._clock = inner, clock
        self._backoff = replace(SERVICE_RESTARTS, attempts=attempts)

    def show(self, image: ImageId) -> Image:
        return retry_until(
            lambda: self._inner.show(image),
            what="The query for image",
            of=str(image),
            wait=lambda seconds: self._clock.sleep(timedelta(seconds=seconds)),
            backoff=self._backoff,
            level=logging.INFO,
        )

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        return self._inner.open(image, offset_bytes, stop=stop)

    def open_range(
        self, image: ImageId, offset_bytes: int, length_bytes: int, *, stop: CancelToken | None = None
    ) -> ImageStream:
        return self._inner.open_range(image, offset_bytes, length_bytes, stop=stop)

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        return self._inner.read_pieces(image, most_bytes)


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
        return self._opened(lambda: self._inner.open(image, offset_bytes, stop=stop), stop)

    def open_range(
        self, image: ImageId, offset_bytes: int, length_bytes: int, *, stop: CancelToken | None = None
    ) -> ImageStream:
        return self._opened(lambda: self._inner.open_range(image, offset_bytes, length_bytes, stop=stop), stop)

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        return self._inner.read_pieces(image, most_bytes)

    def _opened(self, opening: Callable[[], ImageStream], stop: CancelToken | None) -> ImageStream:
        self._acquire_slot(stop)
        try:
            stream = opening()
        except BaseException:
            self._places.release()
            raise
        return _WatchedStream(stream, on_close=self._places.release)

    def _acquire_slot(self, stop: CancelToken | None) -> None:
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


class Server(ImageCatalog, ImageListing, ImageSource, Protocol):
    """One server: its catalogue for callers, and its list and its source for the service."""


class Failover:
    """An `ImageCatalog`, `ImageListing` and `ImageSource` over servers with the same images, by preference.

    One server is used until it is unavailable or a transfer from it breaks; then the next one is used in the same way.
    So only one call waits for a server that is down. The answer of a server is final: if it does not have an image, no
    other server is asked. A broken transfer may continue at another server. Several instances for the same servers
    should have different orders, to spread the load.
    """

    def __init__(self, servers: Sequence[Server]) -> None:
        if not servers:
            raise ValueError("at least one server is needed")
        self._servers = list(servers)
        self._lock = threading.Lock()
        self._preferred = 0

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:
        return self._first_answer(lambda server: server.show_to(caller_token, image))[0]

    def find_listed(self, caller_token: str | None, images: Sequence[ImageId]) -> dict[ImageId, Image]:
        return self._first_answer(lambda server: server.find_listed(caller_token, images))[0]

    def find_named(self, caller_token: str | None, name: str) -> list[Image]:
        return self._first_answer(lambda server: server.find_named(caller_token, name))[0]

    def list_images(self, *, stop: CancelToken | None = None) -> ImageList:
        return self._first_answer(lambda server: server.list_images(stop=stop), stop)[0]

    def show(self, image: ImageId) -> Image:
        return self._first_answer(lambda server: server.show(image))[0]

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        stream, number = self._first_answer(lambda server: server.open(image, offset_bytes, stop=stop), stop)
        return _WatchedStream(stream, on_break=lambda: self._prefer_server_after(number))

    def open_range(
        self, image: ImageId, offset_bytes: int, length_bytes: int, *, stop: CancelToken | None = None
    ) -> ImageStream:
        stream, number = self._first_answer(
            lambda server: server.open_range(image, offset_bytes, length_bytes, stop=stop), stop
        )
        return _WatchedStream(stream, on_break=lambda: self._prefer_server_after(number))

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        return self._first_answer(lambda server: server.read_pieces(image, most_bytes))[0]

    def _first_answer(self, ask: Callable[[Server], _T], stop: CancelToken | None = None) -> tuple[_T, int]:
        """Return the answer of the first server that gives one, and the server's number."""
        failures: list[ImageServiceUnavailable] = []
        start = self._preferred
        for step in range(len(self._servers)):
            number = (start + step) % len(self._servers)
            try:
                return ask(self._servers[number]), number
            except ServiceTokenUnavailable:
                raise  # a failure of Keystone, which is the same for every server
            except ImageServiceUnavailable as exc:
                failures.append(exc)
                self._prefer_server_after(number)
                if stop is not None and stop.is_cancelled:
                    break
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(f"{failure.endpoint}: {failure.reason}" for failure in failures)
        raise ImageServiceUnavailable(", ".join(failure.endpoint for failure in failures), reasons) from failures[-1]

    def _prefer_server_after(self, number: int) -> None:
        """Make the next server the first one, unless another thread has already done so."""
        if len(self._servers) == 1:
            return
        with self._lock:
            if self._preferred != number:
                return
            self._preferred = (number + 1) % len(self._servers)
        _log.info("Image server %d of %d is unavailable; the next one is used", number + 1, len(self._servers))


def _nothing() -> None:
    pass


class _WatchedStream:
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
