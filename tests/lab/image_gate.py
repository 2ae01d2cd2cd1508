"""A gate in front of an image service: while it is shut, data comes through as far as the first block.

It counts the bytes of each image that clients have been sent.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.lab.forwarding import Forwarding
from tests.lab.slow_images import SlowImages
from tests.listening import listening

THREADS = 32  # each holds up one transfer while the gate is shut
CONNECTIONS = Path("/proc/net/tcp")
ESTABLISHED = "01"


class ImageGate:
    """A WSGI application that listens at `url`.

    sent: bytes by image. What is written to a client that has closed its connection is not counted.
    """

    def __init__(self) -> None:
        self.url = ""
        self.sent: Counter[str] = Counter()
        self._lock = threading.Lock()
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
        body = self._now(environ, start_response)
        if not environ["PATH_INFO"].endswith("/file"):
            return body
        ports = int(environ["SERVER_PORT"]), int(environ["REMOTE_PORT"])
        return self._counted(body, environ["PATH_INFO"].split("/")[-2], ports)

    def _counted(self, body: Iterable[bytes], image: str, ports: tuple[int, int]) -> Iterator[bytes]:
        with contextlib.closing(iter(body)) as blocks:
            for block in blocks:
                if is_connected(*ports):
                    with self._lock:
                        self.sent[image] += len(block)
                yield block


def is_connected(port: int, client_port: int) -> bool:
    """Return whether the client at one port of loopback has its connection to the server at the other still open."""
    ends = [f"0100007F:{number:04X}" for number in (port, client_port)]
    return any(line.split()[1:4] == [*ends, ESTABLISHED] for line in CONNECTIONS.read_text().splitlines())


@contextlib.contextmanager
def image_gate() -> Iterator[ImageGate]:
    """Have one listen on loopback."""
    gate = ImageGate()
    with listening(gate, prefix="/", threads=THREADS) as url:
        gate.url = url.rstrip("/")
        yield gate
