"""Failover between several servers of the same images."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from precache.adapters.images_wrapped.stream import WatchedStream
from precache.background.cancel_token import CancelToken
from precache.core.errors import ImageServiceUnavailable, ServiceTokenUnavailable
from precache.core.images import Image, ImageId
from precache.ports.image_service import ImageCatalog, ImageSource, ImageStream

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Server(ImageCatalog, ImageSource, Protocol):
    """One server: its catalogue for callers, and its source for the service."""


class Failover:
    """An `ImageCatalog` and `ImageSource` over servers with the same images, in the order in which to try them.

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

    def show(self, image: ImageId) -> Image:
        return self._first_answer(lambda server: server.show(image))[0]

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        stream, number = self._first_answer(lambda server: server.open(image, offset_bytes, stop=stop), stop)
        return WatchedStream(stream, on_break=lambda: self._turn_away_from(number))

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
                self._turn_away_from(number)
                if stop is not None and stop.is_cancelled:
                    break
        if len(failures) == 1:
            raise failures[0]
        reasons = "; ".join(f"{failure.endpoint}: {failure.reason}" for failure in failures)
        raise ImageServiceUnavailable(", ".join(failure.endpoint for failure in failures), reasons) from failures[-1]

    def _turn_away_from(self, number: int) -> None:
        """Make the next server the first one, unless another thread has already done so."""
        if len(self._servers) == 1:
            return
        with self._lock:
            if self._preferred != number:
                return
            self._preferred = (number + 1) % len(self._servers)
        _log.info("Image server %d of %d is unavailable; the next one is used", number + 1, len(self._servers))
