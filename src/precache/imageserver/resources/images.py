"""`GET /v2/images` and `GET /v2/images/{id}`: the records."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import falcon

from precache.imageserver.library import ImageLibrary
from precache.imageserver.list_query import BadQuery, select
from precache.imageserver.records import LibraryImage
from precache.imageserver.view import image_record


class Images:
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
        resp.media = answer

    on_head = on_get


class Image:
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
