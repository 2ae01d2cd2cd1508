"""The body of one HTTP answer as an `ImageStream`.

One thread reads; another may close. To close an answer during a read would wait for the reader. So `close` shuts the
socket down, which ends the read, and the connection is freed only after the last read.
"""

from __future__ import annotations

import contextlib
import threading

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from precache.adapters.http import innermost
from precache.adapters.images_glance.answers import is_chunked
from precache.core.errors import TransferInterrupted
from precache.core.images import ImageId


class GlanceStream:
    """The data from `offset_bytes` on. Each stream has a connection of its own."""

    def __init__(
        self,
        *,
        image: ImageId,
        response: requests.Response,
        offset_bytes: int,
        remaining_bytes: int | None,
        is_kept: bool = False,
    ) -> None:
        """is_kept: keep the connection for the next request, once all data was read."""
        self._image, self._response = image, response
        self._position, self._remaining = offset_bytes, remaining_bytes
        self._expected = None if remaining_bytes is None else offset_bytes + remaining_bytes
        self._is_kept = is_kept
        self._reading = threading.Lock()
        self._is_closed = False

    @property
    def remaining_bytes(self) -> int | None:
        return self._remaining

    @property
    def has_marked_end(self) -> bool:
        return self._remaining is not None or is_chunked(self._response)

    def readinto(self, buffer: memoryview) -> int:
        with self._reading:
            if self._is_closed:
                raise self._interrupted("the stream was closed")
            try:
                # read1 returns the bytes of one receive: on a slow link it does not wait until the buffer is full.
                data = self._response.raw.read1(len(buffer), decode_content=False)
            except ReadTimeoutError as exc:
                raise self._interrupted("no data arrived within the read timeout") from exc
            # AttributeError and ValueError: `close` has just removed the connection.
            except (HTTPError, OSError, ValueError, AttributeError) as exc:
                raise self._interrupted(f"the connection broke: {innermost(exc)}") from exc
            return self._accept(data, buffer)

    def _accept(self, data: bytes, buffer: memoryview) -> int:
        # Data that arrives after a shutdown is invalid: on a TLS connection it may be ciphertext.
        if self._is_closed or (not data and len(buffer) and self._position < (self._expected or 0)):
            raise self._interrupted("the service closed the connection")
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if self._is_kept and self._position == self._expected:
            self._release()
            return
        self._is_closed = True
        # Best effort: a connection that has already ended has no socket.
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
            self._response.raw.shutdown()
        with self._reading:
            self._response.close()

    def _release(self) -> None:
        """Return the connection: the library notices the end of the body only at a read beyond it."""
        self._is_closed = True
        with self._reading, contextlib.suppress(HTTPError, OSError, ValueError, AttributeError):
            self._response.raw.read(decode_content=False)

    def _interrupted(self, reason: str) -> TransferInterrupted:
        reason = "the stream was closed" if self._is_closed else reason
        return TransferInterrupted(self._image, self._position, self._expected, reason)
