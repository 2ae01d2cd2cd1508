"""An image service that sends its data only as far as a test lets it, so that "in mid-download" lasts long enough."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from precache.imageserver.app import create_image_app
from precache.imageserver.library import ImageLibrary
from tests.listening import listening

Respond = Callable[..., Iterable[bytes]]

POLL_S = 0.01


class SlowImages:
    """A WSGI application around an image service.

    url: for [glance] endpoint_override. sends_freely: how many requests for data are answered as fast as they come;
    every later one gets the first block, and the rest after `release`. answers: how many requests of any kind are
    answered at all before `release`. broken_off: how many transfers ended because the client closed its connection,
    which is noticed when more is sent. sent_bytes: of all images. newest_only: a transfer that
    is held up ends when the next one begins, as there is one client, which has closed it.
    """

    def __init__(
        self, service: Respond, *, sends_freely: int = 0, answers: int = sys.maxsize, newest_only: bool = False
    ) -> None:
        self.url = ""
        self.requests = self.data_requests = self.broken_off = self.sent_bytes = 0
        self._service, self._sends_freely, self._answers = service, sends_freely, answers
        self._newest_only = newest_only
        self._released = threading.Event()
        self._blocks = threading.Semaphore(0)
        self._lock = threading.Lock()

    def release(self) -> None:
        """Send everything from now on."""
        self._released.set()

    def send_block(self) -> None:
        """Send one more block of one transfer that is held up."""
        self._blocks.release()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            self.requests += 1
            is_answered = self.requests <= self._answers
        if not is_answered:
            self._released.wait()
        body = self._service(environ, start_response)
        if not environ["PATH_INFO"].endswith("/file"):
            return body
        with self._lock:
            self.data_requests += 1
            is_free = self.data_requests <= self._sends_freely
        return self._counted(body, is_free, self.data_requests)

    def _counted(self, body: Iterable[bytes], is_free: bool, request: int) -> Iterator[bytes]:
        try:
            for number, block in enumerate(body):
                while number and not is_free and not self._may_go_on(request):
                    if self._is_left(request):
                        return
                with self._lock:
                    self.sent_bytes += len(block)
                yield block
        except GeneratorExit:
            with self._lock:
                self.broken_off += 1
            raise

    def _may_go_on(self, request: int) -> bool:
        if self._released.is_set():
            return True
        if not self._blocks.acquire(timeout=POLL_S):
            return False
        if self._is_left(request):
            self._blocks.release()  # it is for the newest
            return False
        return True

    def _is_left(self, request: int) -> bool:
        return self._newest_only and request < self.data_requests


@contextlib.contextmanager
def slow_images(images: Path, index: Path, *, threads: int = 4, **options: int) -> Iterator[SlowImages]:
    """Serve a directory of images so; at the end everything is released. threads: requests at the same time."""
    library = ImageLibrary(images_dir=images, index_path=index)
    slow = SlowImages(create_image_app(library=library), **options)
    with listening(slow, threads=threads) as url:
        slow.url = url
        try:
            yield slow
        finally:
            slow.release()
            library.close()
