"""An image of which only what differs from an older one in the cache is requested from the image service.

The image service offers the digests of the image's pieces. Nothing depends on these being right: the stream passes the
same checks as any other, and with wrong digests the whole image is fetched again without them.
"""

from __future__ import annotations

import hashlib
import logging

from precache.background.cancel_token import CancelToken
from precache.core.errors import Corrupt, NotFound, Refused, TransferInterrupted, Unavailable
from precache.core.images import Image, ImageId
from precache.core.relays import PIECE_BYTES
from precache.imagecache.bases import Base
from precache.ports.image_service import ImageSource, ImageStream

_log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
_ZERO_PIECE = bytes(PIECE_BYTES)
_ZERO_DIGEST = hashlib.sha256(_ZERO_PIECE).digest()

_MOST_PIECES_OF_RANGE = 256
"""In one request: 16 MiB. What the base has is looked for up to there before the request is sent."""


def piece_digests(images: ImageSource, image: Image) -> bytes | None:
    """Return the digests of the pieces of the image, of 32 bytes each; None if there are none that can be used."""
    if not image.pieces or not image.size_bytes:
        return None
    expected = -(-image.size_bytes // PIECE_BYTES) * _DIGEST_BYTES
    try:
        digests = images.read_pieces(image, expected)
    except (NotFound, Refused, Unavailable, Corrupt) as error:
        _log.warning(
            "Image %s is fetched as a whole, because the digests of its pieces are missing: %s", image.id, error
        )
        return None
    if len(digests) != expected:
        _log.warning(
            "Image %s is fetched as a whole: the digests of its pieces have %d bytes in place of %d; write them again "
            "with `precache image pieces`",
            image.id,
            len(digests),
            expected,
        )
        return None
    return digests


class DeltaImages:
    """Opens one image. For one fetch, which ends before the base is closed.

    digests: as of `piece_digests`. base: an older image.
    """

    def __init__(self, images: ImageSource, image: Image, digests: bytes, base: Base) -> None:
        self._images, self._image, self._digests, self._base = images, image, digests, base
        self._has_ranges = True
        self.digests_bytes = len(digests)
        self.local_bytes = 0
        """How many bytes did not come from the image service: zeros, and those of the base."""
        self.base_bytes = 0
        """How many of them came from the base."""

    def show(self, image: ImageId) -> Image:
        return self._images.show(image)

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        return self._images.read_pieces(image, most_bytes)

    def open_range(
        self, image: ImageId, offset_bytes: int, length_bytes: int, *, stop: CancelToken | None = None
    ) -> ImageStream:
        return self._images.open_range(image, offset_bytes, length_bytes, stop=stop)

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        if not self._has_ranges:
            return self._images.open(image, offset_bytes, stop=stop)
        return _DeltaStream(self, offset_bytes, stop)

    # What a stream asks

    @property
    def size_bytes(self) -> int:
        return self._image.size_bytes or 0

    def begin_range(self, start: int, end: int, stop: CancelToken | None) -> ImageStream:
        """Return a stream of these bytes. Raises as `ImageSource.open_range`; then `open` asks for no ranges."""
        try:
            return self._images.open_range(self._image.id, start, end - start, stop=stop)
        except TransferInterrupted:
            self._has_ranges = False
            raise

    def local_piece(self, index: int) -> bytes | None:
        """Return the content of a piece that needs no request; None for any other."""
        digest = self._digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES]
        length = min(PIECE_BYTES, self.size_bytes - index * PIECE_BYTES)
        if digest == _ZERO_DIGEST and length == PIECE_BYTES:
            return _ZERO_PIECE
        try:
            content = self._base.read(index)
        except OSError:
            return None
        return content if len(content) == length and hashlib.sha256(content).digest() == digest else None

    def note_local(self, content: memoryview, index: int) -> None:
        self.local_bytes += len(content)
        if self._digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES] != _ZERO_DIGEST:
            self.base_bytes += len(content)


class _DeltaStream:
    """The port `ImageStream`: each read returns bytes of the base, zeros, or bytes of the image service."""

    def __init__(self, images: DeltaImages, offset: int, stop: CancelToken | None) -> None:
        self._images, self._offset, self._stop = images, offset, stop
        self._start = offset
        self._range: ImageStream | None = None
        self._range_end = 0
        self._next: tuple[int, bytes] | None = None
        """The piece after a range, which was read to find its end."""
        self._is_closed = False

    @property
    def remaining_bytes(self) -> int | None:
        return self._images.size_bytes - self._start

    @property
    def has_marked_end(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if self._range is None and self._offset < self._images.size_bytes:
            index = self._offset // PIECE_BYTES
            content = self._piece(index)
            if content is not None:
                return self._take(content, index, buffer)
            self._begin_range(index)
        return self._read_range(buffer) if self._range is not None else 0

    def close(self) -> None:
        self._is_closed = True
        stream = self._range
        if stream is not None:
            stream.close()

    def _take(self, content: bytes, index: int, buffer: memoryview) -> int:
        part = memoryview(content)[self._offset - index * PIECE_BYTES :][: len(buffer)]
        buffer[: len(part)] = part
        self._offset += len(part)
        self._images.note_local(part, index)
        return len(part)

    def _piece(self, index: int) -> bytes | None:
        if self._next is None or self._next[0] != index:
            content = self._images.local_piece(index)
            self._next = None if content is None else (index, content)
        return None if self._next is None else self._next[1]

    def _begin_range(self, index: int) -> None:
        """Request all pieces up to the next one that needs no request."""
        last = -(-self._images.size_bytes // PIECE_BYTES)
        end = index + 1
        while end < min(last, index + _MOST_PIECES_OF_RANGE) and self._piece(end) is None:
            end += 1
        self._range_end = min(end * PIECE_BYTES, self._images.size_bytes)
        self._range = stream = self._images.begin_range(self._offset, self._range_end, self._stop)
        if self._is_closed:  # by another thread, before there was a stream to close
            stream.close()

    def _read_range(self, buffer: memoryview) -> int:
        stream = self._range
        assert stream is not None  # noqa: S101  the caller has checked it
        count = stream.readinto(buffer[: self._range_end - self._offset])
        self._offset += count
        if self._offset == self._range_end or not count:
            self._range = None
            stream.close()
        return count
