"""One image as one unbroken stream: a broken transfer continues where it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from precache.background.backoff import SERVICE_RESTARTS
from precache.background.cancel_token import CancelToken
from precache.core.errors import (
    ImageServiceUnavailable,
    ImageTooLong,
    NoImageData,
    TransferInterrupted,
    TransferTooSlow,
    UnusableImage,
)
from precache.core.images import Image
from precache.core.stopping import StopReason
from precache.fetch.growing_file import Abandoned
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource, ImageStream
from precache.rules.throughput import MinThroughput, ThroughputMonitor

_log = logging.getLogger(__name__)

_NAP = timedelta(milliseconds=500)  # the longest sleep in one piece, so that a stop does not wait longer
_SKIP_BYTES = 1 << 20

_NO_END = (
    "the image service gives neither its size nor its hash, and sends its data without a length: a broken transfer "
    "would look like a complete one; let the image service compute the hash, or upload the image again"
)


def _ignore(_count: int) -> None:
    """Count nothing."""


class ResumingStream:
    """Reads one image from an offset to its end. One thread reads; another may call `close`: the reader's wait ends.

    If the image service cannot start at an offset, the image is read again from the start, and the bytes that are
    already here are skipped: an image's data never changes, and the digest covers all of it in any case.
    """

    def __init__(
        self,
        *,
        images: ImageSource,
        image: Image,
        clock: Clock,
        retries: int,
        least_rate: MinThroughput | None = None,
        offset_bytes: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
        on_received: Callable[[int], None] = _ignore,
    ) -> None:
        """retries: how many attempts in a row may bring no new byte before the transfer fails.

        least_rate: a slower connection is closed, and the next one begins where it ended. It is kept if the service
        cannot resume. The transfer fails after more than `retries` slow windows in a row.
        offset_bytes: where to begin. monotonic: a clock, in seconds.
        on_received: called with the number of bytes of each read, also of those that are skipped.
        """
        # Bytes that are read again are no progress, but show how fast the service is: each kind has its own window.
        self._throughput, self._skip_throughput = (
            ThroughputMonitor(least_rate or MinThroughput()),
            ThroughputMonitor(least_rate or MinThroughput()),
        )
        self._monotonic = monotonic
        self._on_received = on_received
        self._images, self._image, self._clock = images, image, clock
        self._retries, self._backoff = retries, replace(SERVICE_RESTARTS, attempts=retries + 1)
        self._stream: ImageStream | None = None
        self._offset = offset_bytes
        self._failures = 0
        self._has_ranges = True
        self._stop = CancelToken()

    def readinto(self, buffer: memoryview) -> int:
        """Read the next bytes into `buffer` and return their number; 0 at the end.

        Raises TransferInterrupted or ImageServiceUnavailable when all attempts have failed, ImageTooLong,
        NoImageData, UnusableImage, ImageNotFound, ImageNotAuthorized; Abandoned once it is closed.
        """
        while True:
            if self._offset and self._stream is None and self._offset == self._image.size_bytes:
                return 0  # no service sends what follows the last byte
            try:
                self._check_throughput(self._throughput)
                count = self._read(self._open(), buffer, self._throughput)
                if count == 0 and self._is_short():
                    raise self._interrupted("the data ended early")
            except TransferTooSlow as error:
                self._drop()
                self._wait(error, max(self._throughput.slow_windows, self._skip_throughput.slow_windows))
                continue
            except (TransferInterrupted, ImageServiceUnavailable) as error:
                if self._offset and self._offset == self._image.size_bytes:
                    return 0  # all bytes have arrived: how the connection ended does not matter
                self._drop()
                self._wait_to_retry(self._of_whole_transfer(error))
                continue
            return self._note(count)

    def close(self) -> None:
        self._stop.cancel(StopReason.ABANDONED)
        stream = self._stream
        if stream is not None:
            stream.close()

    def _open(self) -> ImageStream:
        if self._stop.is_cancelled:
            raise Abandoned
        if self._stream is not None:
            return self._stream
        stream, start = self._begin()
        self._stream = stream
        if self._stop.is_cancelled:  # by another thread, before there was a stream to close
            stream.close()
            raise Abandoned
        self._check_announced(stream, start)
        self._check_end(stream)
        self._skip(stream, self._offset - start)
        return stream

    def _begin(self) -> tuple[ImageStream, int]:
        """Request the data from the first missing byte, else all; return the stream and the offset of its begin."""
        if self._offset and self._has_ranges:
            try:
                stream = self._images.open(self._image.id, self._offset, stop=self._stop)
                return stream, self._offset
            except TransferInterrupted as error:
                # By the port's contract: the service cannot start at an offset. This is not a failed attempt, because
                # it answered.
                _log.warning("%s; reading from the start again, and skipping %d bytes", error, self._offset)
                self._has_ranges = False
        return self._images.open(self._image.id, 0, stop=self._stop), 0

    def _check_announced(self, stream: ImageStream, start: int) -> None:
        announced, expected = stream.remaining_bytes, self._image.size_bytes
        if announced is not None and expected is not None and start + announced > expected:
            raise ImageTooLong(self._image.id, expected)

    def _read(self, stream: ImageStream, buffer: memoryview, pace: ThroughputMonitor) -> int:
        """Read into the buffer and record the bytes and the time that the read took.

        Only the time in which the service could send counts; not the time of a slow disk or of a wait for a free slot.
        """
        began = self._monotonic()
        count = stream.readinto(buffer)
        pace.add(self._monotonic() - began, count)
        self._on_received(count)
        return count

    def _check_throughput(self, pace: ThroughputMonitor) -> None:
        """Raise TransferTooSlow after a window in which too few bytes arrived, unless the transfer is complete."""
        came = pace.take_slow_window()
        if came is None or self._offset == self._image.size_bytes:
            return
        error = TransferTooSlow(
            self._image.id,
            self._offset,
            self._image.size_bytes,
            came_bytes=came,
            window_s=pace.least.window.total_seconds(),
            least=pace.least.bytes_per_s,
        )
        if self._has_ranges or pace.slow_windows > self._retries:
            raise error
        # The next connection would read everything again, so a slow one is better.
        _log.warning(
            "Image %s: %s; the image service cannot resume a transfer, so it continues on the same connection",
            self._image.id,
            error.reason,
        )

    def _check_end(self, stream: ImageStream) -> None:
        """Raise UnusableImage if nothing shows whether the data is complete."""
        if self._image.size_bytes is None and self._image.digest is None and not stream.has_marked_end:
            raise UnusableImage(self._image.id, _NO_END)

    def _skip(self, stream: ImageStream, count: int) -> None:
        scratch = memoryview(bytearray(min(count, _SKIP_BYTES)))
        while count:
            skipped = self._read(stream, scratch[: min(count, len(scratch))], self._skip_throughput)
            if not skipped:
                raise self._interrupted("the data ended early")
            count -= skipped
            self._check_throughput(self._skip_throughput)

    def _note(self, count: int) -> int:
        expected = self._image.size_bytes
        self._offset += count
        if count:
            self._failures = 0
        elif not self._offset:
            raise NoImageData(self._image.id)
        if expected is not None and self._offset > expected:
            raise ImageTooLong(self._image.id, expected)
        return count

    def _is_short(self) -> bool:
        expected = self._image.size_bytes
        return expected is not None and 0 < self._offset < expected

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _wait_to_retry(self, error: TransferInterrupted | ImageServiceUnavailable) -> None:
        self._failures += 1
        self._wait(error, self._failures)

    def _wait(self, error: TransferInterrupted | ImageServiceUnavailable, failures: int) -> None:
        if self._stop.is_cancelled:
            raise Abandoned from error
        wait = self._backoff.wait_after(failures)
        if wait is None:
            raise error
        _log.warning("%s; trying again from byte %d in %.0f s", error, self._offset, wait.total_seconds())
        while wait > timedelta() and not self._stop.is_cancelled:
            nap = min(wait, _NAP)
            self._clock.sleep(nap)
            self._throughput.wait(nap.total_seconds())
            wait -= nap

    def _of_whole_transfer(
        self, error: TransferInterrupted | ImageServiceUnavailable
    ) -> TransferInterrupted | ImageServiceUnavailable:
        """Return the error with the offset and size of the whole transfer: a single request does not know them."""
        return self._interrupted(error.reason) if isinstance(error, TransferInterrupted) else error

    def _interrupted(self, reason: str) -> TransferInterrupted:
        return TransferInterrupted(self._image.id, self._offset, self._image.size_bytes, reason)
