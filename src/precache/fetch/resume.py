"""One image as one unbroken stream: when the transfer breaks, it goes on where it ended."""

from __future__ import annotations

import logging
from datetime import timedelta

from precache.core.errors import ImageServiceUnavailable, ImageTooLong, NoImageData, TransferInterrupted
from precache.core.images import Image
from precache.fetch.arriving_file import Abandoned
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource, ImageStream
from precache.rules.retry import wait_before_retry

_log = logging.getLogger(__name__)

_NAP = timedelta(milliseconds=500)  # the longest sleep in one piece: a stop must not wait for more
_SKIP_BYTES = 1 << 20


class ResumingStream:
    """Reads one image from its start. One thread reads; `close` may come from another and ends that one's wait.

    An image service that cannot start in the middle is read again from the start, and what we have is skipped:
    an image's data never changes, and the digest covers the whole in any case.
    """

    def __init__(self, *, images: ImageSource, image: Image, clock: Clock, retries: int) -> None:
        """retries: further attempts without a single new byte before the transfer counts as failed."""
        self._images, self._image, self._clock, self._retries = images, image, clock, retries
        self._stream: ImageStream | None = None
        self._offset = 0
        self._failures = 0
        self._has_ranges = True
        self._closed = False

    def readinto(self, buffer: memoryview) -> int:
        """Put the next bytes into `buffer` and give their number; 0 at the end.

        Raises TransferInterrupted or ImageServiceUnavailable when all attempts have failed, ImageTooLong,
        NoImageData, ImageNotFound, ImageNotAuthorized; Abandoned once it is closed.
        """
        while True:
            try:
                count = self._open().readinto(buffer)
                if count == 0 and self._is_short():
                    raise self._interrupted("the data ended early")
            except (TransferInterrupted, ImageServiceUnavailable) as error:
                if self._offset and self._offset == self._image.size_bytes:
                    return 0  # everything is here: how the connection ended does not matter
                self._drop()
                self._wait_to_retry(self._told_in_full(error))
                continue
            return self._note(count)

    def close(self) -> None:
        self._closed = True
        stream = self._stream
        if stream is not None:
            stream.close()

    def _open(self) -> ImageStream:
        if self._closed:
            raise Abandoned
        if self._stream is not None:
            return self._stream
        stream, start = self._begin()
        self._stream = stream
        if self._closed:  # by another thread, which found no stream to close yet
            stream.close()
            raise Abandoned
        self._check_announced(stream, start)
        self._skip(stream, self._offset - start)
        return stream

    def _begin(self) -> tuple[ImageStream, int]:
        """Ask for the first missing byte, else for everything; give the stream and the offset at which it begins."""
        if self._offset and self._has_ranges:
            try:
                stream = self._images.open(self._image.id, self._offset, is_wanted=self._is_wanted)
                return stream, self._offset
            except TransferInterrupted as error:
                # The port says so of a service that does not start at an offset. No failed attempt: it answered.
                _log.warning("%s; reading from the start again, and skipping %d bytes", error, self._offset)
                self._has_ranges = False
        return self._images.open(self._image.id, 0, is_wanted=self._is_wanted), 0

    def _is_wanted(self) -> bool:
        return not self._closed

    def _check_announced(self, stream: ImageStream, start: int) -> None:
        announced, expected = stream.remaining_bytes, self._image.size_bytes
        if announced is not None and expected is not None and start + announced > expected:
            raise ImageTooLong(self._image.id, expected)

    def _skip(self, stream: ImageStream, count: int) -> None:
        scratch = memoryview(bytearray(min(count, _SKIP_BYTES)))
        while count:
            skipped = stream.readinto(scratch[: min(count, len(scratch))])
            if not skipped:
                raise self._interrupted("the data ended early")
            count -= skipped

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
        if self._closed:
            raise Abandoned from error
        self._failures += 1
        wait = wait_before_retry(self._failures, self._retries)
        if wait is None:
            raise error
        _log.warning("%s; trying again from byte %d in %.0f s", error, self._offset, wait.total_seconds())
        while wait > timedelta() and not self._closed:
            nap = min(wait, _NAP)
            self._clock.sleep(nap)
            wait -= nap

    def _told_in_full(
        self, error: TransferInterrupted | ImageServiceUnavailable
    ) -> TransferInterrupted | ImageServiceUnavailable:
        """Give the error with what the whole transfer knows: one request knows not what came before, nor the size."""
        return self._interrupted(error.reason) if isinstance(error, TransferInterrupted) else error

    def _interrupted(self, reason: str) -> TransferInterrupted:
        return TransferInterrupted(self._image.id, self._offset, self._image.size_bytes, reason)
