"""`GET /v2/images` and `GET /v2/images/{id}`: the records, as Glance shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode

import falcon

from precache.imageserver.library import ImageLibrary
from precache.imageserver.list_query import BadQuery, select
from precache.imageserver.records import LibraryImage, printable

PIECES_PROPERTY = "precache_pieces"
"""Of the record: where the digests of the pieces are. A property of Glance's images has the id of an image there."""


def image_record(image: LibraryImage) -> dict[str, Any]:
    """Return the record. Links are relative to the root of the service, as Glance's are: clients put their
    endpoint before them."""
    facts, has_content = image.facts, image.has_data or not image.fingerprint.size_bytes
    changed = datetime.fromtimestamp(image.fingerprint.mtime_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record: dict[str, Any] = {
        "id": image.id,
        "name": PurePath(printable(image.file_name)).stem,
        "status": image.status,
        "visibility": "public",
        "protected": False,
        "os_hidden": False,
        "owner": None,
        "tags": [],
        "min_disk": 0,
        "min_ram": 0,
        "disk_format": facts.disk_format,
        "container_format": "bare",
        "size": image.fingerprint.size_bytes if has_content else None,
        "virtual_size": facts.virtual_size_bytes if has_content else None,
        "checksum": facts.md5 if has_content else None,
        "os_hash_algo": "sha512" if has_content else None,
        "os_hash_value": facts.sha512 if has_content else None,
        "created_at": changed,
        "updated_at": changed,
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        **({PIECES_PROPERTY: f"/v2/images/{image.id}/pieces"} if image.has_data else {}),
        "schema": "/v2/schemas/image",
    }
    return record | dict(image.overrides)


class ImageListResource:
    """The listing, with Glance's filters, order and paging."""

    def __init__(self, *, library: ImageLibrary) -> None:
        self._library = library

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = {key: value[-1] if isinstance(value, list) else value for key, value in req.params.items()}
        try:
            page = select([image_record(image) for image in self._library.images()], query)
        except BadQuery as exc:
            raise falcon.HTTPBadRequest(description=str(exc)) from exc
        first = urlencode({key: value for key, value in query.items() if key != "marker"})
        answer: dict[str, Any] = {"images": list(page.records), "schema": "/v2/schemas/images"}
        answer["first"] = f"/v2/images?{first}" if first else "/v2/images"
        if page.next_query is not None:
            answer["next"] = f"/v2/images?{page.next_query}"
        # A field of this service alone, which clients of Glance ignore.
        if self._library.unread_count:
            answer["unread_files"] = self._library.unread_count
        resp.media = answer

    on_head = on_get


class ImageResource:
    """One record."""

    def __init__(self, *, library: ImageLibrary) -> None:
        self._library = library

    def on_get(self, _req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        resp.media = image_record(found_image(self._library, image_id))

    on_head = on_get


def found_image(library: ImageLibrary, image_id: str) -> LibraryImage:
    """Return the image, or raise 404, also for a text that is not an id."""
    image = library.find(image_id)
    if image is None:
        raise falcon.HTTPNotFound(description=f"No image found with ID {image_id}")
    return image
