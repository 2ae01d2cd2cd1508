"""The body of one answer as an `ImageStream`.

One thread reads; another may close. Closing an answer that is being read would wait for the reader, so `close`
shuts the socket down first, which ends the read, and frees the connection only after the last read.
"""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from precache.adapters.http import innermost
from precache.adapters.images_glance.answers import is_chunked
from precache.core.errors import TransferInterrupted
from precache.core.images import ImageId


class GlanceStream:
    """Bytes from `offset_bytes` on. A connection is used for one stream and not kept."""

    def __init__(
        self, *, image: ImageId, response: requests.Response, offset_bytes: int, remaining_bytes: int | None
    ) -> None:
        self._image, self._response = image, response
        self._position, self._remaining = offset_bytes, remaining_bytes
        self._expected = None if remaining_bytes is None else offset_bytes + remaining_bytes
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
                # read1 gives what one receive gives: it does not hold back bytes on a slow link to fill the buffer.
                data = self._response.raw.read1(len(buffer), decode_content=False)
            except ReadTimeoutError as exc:
                raise self._interrupted("no data arrived within the read timeout") from exc
            # AttributeError and ValueError: the connection was taken apart by `close` in this very moment.
            except (HTTPError, OSError, ValueError, AttributeError) as exc:
                raise self._interrupted(f"the connection broke: {innermost(exc)}") from exc
            return self._accept(data, buffer)

    def _accept(self, data: bytes, buffer: memoryview) -> int:
        # What arrives after a shutdown is not to be trusted: of a TLS connection it may be the ciphertext.
        if self._is_closed or (not data and len(buffer) and self._position < (self._expected or 0)):
            raise self._interrupted("the service closed the connection")
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._is_closed = True
        # Shutting down is best effort: a connection that has ended by itself has no socket any more.
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
            self._response.raw.shutdown()
        with self._reading:
            self._response.close()

    def __enter__(self) -> GlanceStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _interrupted(self, reason: str) -> TransferInterrupted:
        reason = "the stream was closed" if self._is_closed else reason
        return TransferInterrupted(self._image, self._position, self._expected, reason)
