"""`GET /v2/images/{id}/file`: the bytes, all of them or one range, read as the client takes them."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import falcon

from precache.core.images import ImageStatus
from precache.imageserver.images import found_image
from precache.imageserver.library import ImageLibrary
from precache.imageserver.records import Fingerprint, LibraryImage

_log = logging.getLogger(__name__)

BLOCK_BYTES = 1024 * 1024  # measured with cheroot: smaller blocks double the processor time for one GiB

_ONE_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,20})\s*-\s*(\d{0,20})\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(ValueError):
    """The range begins beyond the end of the data, or is empty."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.first}-{self.last}/{size_bytes}"


def requested_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the range in the header, limited to the data; None for all of the data.

    Headers that are no range of bytes, and those with several ranges, are ignored, as RFC 9110 allows.
    Raises Unsatisfiable.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    if match.group(1) == "":
        first, last = max(0, size_bytes - int(match.group(2))), size_bytes - 1
    else:
        first = int(match.group(1))
        asked_last = int(match.group(2)) if match.group(2) else size_bytes - 1
        if match.group(2) and asked_last < first:
            return None
        last = min(asked_last, size_bytes - 1)
    if first >= size_bytes:
        raise Unsatisfiable(header)
    return ByteRange(first, last)


class FileBlocks:
    """A WSGI body. It ends with an error if the file has changed since it was hashed."""

    def __init__(
        self, *, image: LibraryImage, data: BinaryIO, wanted: ByteRange, on_block: Callable[[int], None]
    ) -> None:
        self._image, self._data, self._wanted, self._on_block = image, data, wanted, on_block

    def __iter__(self) -> Iterator[bytes]:
        left = self._wanted.length
        self._data.seek(self._wanted.first)
        while left:
            block = self._data.read(min(left, BLOCK_BYTES))
            if not block or Fingerprint.of(os.fstat(self._data.fileno())) != self._image.fingerprint:
                _log.warning("image file %r changed while it was sent; the transfer is interrupted", self._image.path)
                # On this error the server closes the connection, so the client sees that data are missing. A normal end
                # would leave the client waiting on an open connection.
                raise BrokenPipeError(errno.EPIPE, "the image file changed")
            left -= len(block)
            self._on_block(len(block))
            yield block

    def close(self) -> None:
        self._data.close()


class DataCounts:
    """Counts requests for data (`GET .../file`, with any range) and the bytes sent, by image id. Thread-safe.

    The counts are reset with the application.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def note_request(self, image_id: str) -> None:
        with self._lock:
            self._requests[image_id] += 1

    def note_bytes(self, image_id: str, number: int) -> None:
        with self._lock:
            self._bytes[image_id] += number

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer `GET /requests`: `{"data_requests": {id: number}, "data_bytes": {id: number}}`."""
        with self._lock:
            resp.media = {"data_requests": dict(self._requests), "data_bytes": dict(self._bytes)}

    on_head = on_get


class ImageData:
    """The data of one image. If the file has changed since it was hashed, the image does not exist."""

    def __init__(self, *, library: ImageLibrary, counts: DataCounts) -> None:
        self._library, self._counts = library, counts

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        image = found_image(self._library, image_id)
        self._counts.note_request(image.id)
        wanted = self._describe(req, resp, image)
        if wanted is None:
            return
        data = self._library.open(image)
        if data is None:
            raise falcon.HTTPNotFound(description=f"The data of image {image_id} have changed or are gone")
        on_block = partial(self._counts.note_bytes, image.id)
        resp.set_stream(FileBlocks(image=image, data=data, wanted=wanted, on_block=on_block), wanted.length)

    def on_head(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        wanted = self._describe(req, resp, found_image(self._library, image_id))
        if wanted is not None:
            resp.content_length = wanted.length

    def _describe(self, req: falcon.Request, resp: falcon.Response, image: LibraryImage) -> ByteRange | None:
        """Set status and headers and return the bytes to send; None if there is nothing to send."""
        if image.status == ImageStatus.DEACTIVATED:
            raise falcon.HTTPForbidden(description=f"Image {image.id} is deactivated: its data may not be read")
        if not image.has_data:
            resp.status = falcon.HTTP_204
            return None
        size_bytes = image.fingerprint.size_bytes
        try:
            asked = requested_range(req.get_header("Range"), size_bytes)
        except Unsatisfiable as exc:
            raise falcon.HTTPRangeNotSatisfiable(size_bytes) from exc
        resp.content_type = "application/octet-stream"
        resp.set_header("Content-MD5", image.facts.md5)
        if asked is None:
            return ByteRange(0, size_bytes - 1)
        resp.status = falcon.HTTP_206
        resp.set_header("Content-Range", asked.content_range(size_bytes))
        return asked
