"""`GET /v2/images/{id}/file`: the bytes, all of them or one range."""

from __future__ import annotations

from functools import partial

import falcon

from precache.core.images import ImageStatus
from precache.imageserver.byte_range import ByteRange, Unsatisfiable, requested_range
from precache.imageserver.data_counts import DataCounts
from precache.imageserver.file_blocks import FileBlocks
from precache.imageserver.library import ImageLibrary
from precache.imageserver.records import LibraryImage
from precache.imageserver.resources.images import found_image


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
