"""A gate in front of an image service: while it is shut, data comes through as far as the first block."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tests.lab.forwarding import Forwarding
from tests.lab.slow_images import SlowImages
from tests.listening import listening

THREADS = 32  # each holds up one transfer while the gate is shut


class ImageGate:
    """A WSGI application that listens at `url`."""

    def __init__(self) -> None:
        self.url = ""
        self._service = Forwarding()
        self._now = self._open = SlowImages(self._service, sends_freely=sys.maxsize)

    def lead_to(self, image_url: str) -> None:
        """Pass requests on to the image service at this URL from now on."""
        self._service.url = image_url

    @contextlib.contextmanager
    def shut(self) -> Iterator[SlowImages]:
        """Hold transfers up until `release`, or the end of the block."""
        self._now = slow = SlowImages(self._service)
        try:
            yield slow
        finally:
            slow.release()
            self._now = self._open

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._now(environ, start_response)


@contextlib.contextmanager
def image_gate() -> Iterator[ImageGate]:
    """Have one listen on loopback."""
    gate = ImageGate()
    with listening(gate, prefix="/", threads=THREADS) as url:
        gate.url = url.rstrip("/")
        yield gate
