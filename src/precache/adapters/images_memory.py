"""Images in memory that can fail in every way in which a real image service can; for tests and simulations."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from precache.background.cancel_token import CancelToken
from precache.core.errors import (
    ImageNotAuthorized,
    ImageNotFound,
    ImageServiceUnavailable,
    InvalidImageId,
    NoImageData,
    TransferInterrupted,
)
from precache.core.image_list import ImageList, ListedImage
from precache.core.images import Image, ImageId, parse_image_id
from precache.ports.image_service import MOST_NAMESAKES

ENDPOINT = "memory"

_LONGEST_STALL_SECONDS = 30.0
"""The limit for a stalled stream that a test has not closed."""


@dataclass(frozen=True, slots=True)
class ImageFaults:
    """The faults in the transfers of one image. Offsets count from the start of the image.

    breaks_at: at each of these offsets, once, the connection breaks.
    ends_at: every stream ends here without an error, as if the image were complete.
    surplus: bytes that follow the end.
    damaged_reads: this many streams from the start have a changed first byte.
    failing_opens: this many calls of `open` fail as if the service were down.
    stalls_at: at this offset every stream waits until it is closed.
    longest_read: the most bytes that one `readinto` returns.
    has_ranges: False if a stream can only begin at the start.
    announces_length: False if `remaining_bytes` is None.
    marks_end: whether the end of data without a length differs from a broken connection.
    """

    breaks_at: Collection[int] = ()
    ends_at: int | None = None
    surplus: bytes = b""
    damaged_reads: int = 0
    failing_opens: int = 0
    stalls_at: int | None = None
    longest_read: int | None = None
    has_ranges: bool = True
    announces_length: bool = True
    marks_end: bool = False


NO_FAULTS = ImageFaults()


class MemoryImages:
    """The ports `ImageSource` and `ImageCatalog` on a mapping."""

    def __init__(
        self,
        *,
        images: Mapping[ImageId, tuple[Image, bytes]],
        faults: Mapping[ImageId, ImageFaults] | None = None,
        forbidden: Collection[ImageId] = (),
        unlisted: Collection[ImageId] = (),
        available: bool = True,
    ) -> None:
        """forbidden: images that no caller may see. unlisted: images that lists omit.
        available: False makes every call fail."""
        self._images = dict(images)
        self._faults = dict(faults or {})
        self._forbidden = frozenset(forbidden)
        self._unlisted = frozenset(unlisted) | self._forbidden
        self._available = available
        self._lock = threading.Lock()
        self._breaks = {image: set(fault.breaks_at) for image, fault in self._faults.items()}
        self._requests: list[tuple[ImageId, int]] = []

    @property
    def requests(self) -> list[tuple[ImageId, int]]:
        """The image and the offset of every `open` so far, in order."""
        with self._lock:
            return list(self._requests)

    def show(self, image: ImageId) -> Image:
        return self._look_up(image)[0]

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:  # noqa: ARG002  (all may see all)
        return self._look_up(image)[0]

    def find_listed(self, caller_token: str | None, images: Sequence[ImageId]) -> dict[ImageId, Image]:  # noqa: ARG002
        if not self._available:
            raise ImageServiceUnavailable(ENDPOINT, "connection refused")
        return {image: self._images[image][0] for image in images if image in self._images.keys() - self._unlisted}

    def find_named(self, caller_token: str | None, name: str) -> list[Image]:
        listed = self.find_listed(caller_token, list(self._images)).values()
        return [image for image in listed if image.name == name][:MOST_NAMESAKES]

    def list_images(self, *, stop: CancelToken | None = None) -> ImageList:  # noqa: ARG002  (nothing to wait for)
        if not self._available:
            raise ImageServiceUnavailable(ENDPOINT, "connection refused")
        images = {image: ListedImage(record.name, record.status) for image, (record, _) in self._images.items()}
        return ImageList(images)

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> MemoryStream:  # noqa: ARG002  (nothing to wait for)
        return self._begin(image, offset_bytes)

    def _begin(self, image: ImageId, offset_bytes: int) -> MemoryStream:
        record, data = self._look_up(image)
        faults = self._faults.get(image, NO_FAULTS)
        with self._lock:
            earlier = [offset for known, offset in self._requests if known == image]
            self._requests.append((image, offset_bytes))
        if len(earlier) < faults.failing_opens:
            raise ImageServiceUnavailable(ENDPOINT, "connection refused")
        if not data:
            raise NoImageData(image)
        if offset_bytes and not faults.has_ranges:
            raise TransferInterrupted(image, offset_bytes, record.size_bytes, "the service does not resume")
        if earlier.count(0) < faults.damaged_reads:
            data = bytes([data[0] ^ 0xFF]) + data[1:]
        return MemoryStream(
            image=image, data=data, offset_bytes=offset_bytes, faults=faults, breaks=self._breaks.get(image, set())
        )

    def open_range(
        self,
        image: ImageId,
        offset_bytes: int,
        length_bytes: int,
        *,
        stop: CancelToken | None = None,  # noqa: ARG002
    ) -> MemoryStream:
        stream = self._begin(image, offset_bytes)
        if not self._faults.get(image, NO_FAULTS).has_ranges:
            raise TransferInterrupted(image, offset_bytes, None, "the service sends the whole image")
        stream.end_at(offset_bytes + length_bytes)
        return stream

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        try:
            _record, data = self._look_up(parse_image_id(image.pieces))
        except InvalidImageId:
            raise ImageNotFound(image.id, "its property precache_pieces is the id of no image") from None
        if not data:
            raise NoImageData(image.id)
        return data[: most_bytes + 1]

    def _look_up(self, image: ImageId) -> tuple[Image, bytes]:
        if not self._available:
            raise ImageServiceUnavailable(ENDPOINT, "connection refused")
        if image in self._forbidden:
            raise ImageNotAuthorized(image)
        if image not in self._images:
            raise ImageNotFound(image)
        return self._images[image]


class MemoryStream:
    """The port `ImageStream` on bytes."""

    def __init__(
        self, *, image: ImageId, data: bytes, offset_bytes: int, faults: ImageFaults, breaks: set[int]
    ) -> None:
        """breaks: shared by all streams of the image; a break is removed when it has happened."""
        self._image, self._faults, self._breaks = image, faults, breaks
        self._announced = len(data)
        self._data = memoryview((data + faults.surplus)[: faults.ends_at])
        self._offset = offset_bytes
        self._start = offset_bytes
        self._closed = threading.Event()

    def end_at(self, end: int) -> None:
        """Make the stream end before this offset."""
        self._data = self._data[:end]
        self._announced = min(end, self._announced)

    @property
    def remaining_bytes(self) -> int | None:
        return max(self._announced - self._start, 0) if self._faults.announces_length else None

    @property
    def has_marked_end(self) -> bool:
        return self._faults.announces_length or self._faults.marks_end

    def readinto(self, buffer: memoryview) -> int:
        if self._closed.is_set():
            raise self._interrupted("the connection was closed")
        if self._offset in self._breaks:
            self._breaks.discard(self._offset)
            raise self._interrupted("the connection broke")
        if self._offset == self._faults.stalls_at:
            self._closed.wait(_LONGEST_STALL_SECONDS)
            raise self._interrupted("the connection was closed")
        end = min([self._offset + self._limit(buffer), len(self._data), *self._fault_offsets()])
        count = max(end - self._offset, 0)
        buffer[:count] = self._data[self._offset : self._offset + count]
        self._offset += count
        return count

    def close(self) -> None:
        self._closed.set()

    def _limit(self, buffer: memoryview) -> int:
        return min(len(buffer), self._faults.longest_read or len(buffer))

    def _fault_offsets(self) -> list[int]:
        """Return the later offsets at which a fault happens, so that a read ends before it."""
        stall = self._faults.stalls_at
        marks = [*self._breaks, *([] if stall is None else [stall])]
        return [mark for mark in marks if mark > self._offset]

    def _interrupted(self, reason: str) -> TransferInterrupted:
        return TransferInterrupted(self._image, self._offset, self._announced, reason)
