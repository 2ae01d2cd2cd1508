"""`GET /v2/images/{id}/pieces`: the SHA-256 of each piece of 64 KiB of the data, 32 bytes each, in order.

A host that has an older image requests only the pieces whose digests differ. They are computed for each request, while
they are sent. Of a site one host asks, and nothing is stored that could be wrong.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from typing import BinaryIO

import falcon

from precache.core.images import ImageStatus
from precache.core.relays import PIECE_BYTES
from precache.imageserver.images import found_image
from precache.imageserver.library import ImageLibrary
from precache.imageserver.records import Fingerprint, LibraryImage

_log = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size
_PIECES_AT_ONCE = 64


class ImagePieces:
    """The digests of one image. If the file has changed since it was hashed, the image does not exist."""

    def __init__(self, *, library: ImageLibrary) -> None:
        self._library = library

    def on_get(self, _req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        image = found_image(self._library, image_id)
        if image.status == ImageStatus.DEACTIVATED:
            raise falcon.HTTPForbidden(description=f"Image {image.id} is deactivated: its data may not be read")
        if not image.has_data:
            resp.status = falcon.HTTP_204
            return
        data = self._library.open(image)
        if data is None:
            raise falcon.HTTPNotFound(description=f"The data of image {image_id} have changed or are gone")
        resp.content_type = "application/octet-stream"
        pieces = -(-image.fingerprint.size_bytes // PIECE_BYTES)
        resp.set_stream(PieceDigests(image=image, data=data), pieces * _DIGEST_BYTES)


class PieceDigests:
    """A WSGI body. It ends with an error if the file has changed since it was hashed."""

    def __init__(self, *, image: LibraryImage, data: BinaryIO) -> None:
        self._image, self._data = image, data

    def __iter__(self) -> Iterator[bytes]:
        left = self._image.fingerprint.size_bytes
        while left:
            block = self._data.read(min(left, PIECE_BYTES * _PIECES_AT_ONCE))
            left -= len(block)
            is_torn = left and len(block) % PIECE_BYTES  # a short read, which no file on a disk has
            if not block or is_torn or Fingerprint.of(os.fstat(self._data.fileno())) != self._image.fingerprint:
                _log.warning("image file %r changed while it was hashed; the answer is interrupted", self._image.path)
                raise BrokenPipeError(errno.EPIPE, "the image file changed")
            pieces = (block[start : start + PIECE_BYTES] for start in range(0, len(block), PIECE_BYTES))
            yield b"".join(hashlib.sha256(piece).digest() for piece in pieces)

    def close(self) -> None:
        self._data.close()
