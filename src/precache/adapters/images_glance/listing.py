"""Reads the list of all images of the Glance v2 API, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from precache.background.cancel_token import CancelToken
from precache.core.errors import InvalidImageId
from precache.core.image_list import ImageList, ListedImage
from precache.core.images import ImageId, parse_image_id

IMAGES_PER_PAGE = 150
"""A record has about 2 kB. With all properties of Glance's quota it has 100 kB, and the page still fits the limit."""

MOST_PAGES = 5000
"""A million images. More pages than this are taken for a service that answers in circles."""


_NO_ADMINISTRATOR = (
    "the user in [service_user] does not have the role admin, without which Glance does not show private images of "
    "other projects"
)
_UNREAD = "it has not read all files of its directory yet"


def read_image_list(
    read_page: Callable[[str], Any], *, images_per_page: int, sees_all: bool, stop: CancelToken | None
) -> ImageList:
    """Return all images that are listed, with private and hidden ones.

    read_page: returns the document at this path; raises if there is none. sees_all: whether the user of the requests
    may see every image. Raises ValueError if an answer is not such a list, Stopped.
    """
    images: dict[ImageId, ListedImage] = {}
    doubt = "" if sees_all else _NO_ADMINISTRATOR
    # A stock Glance lists hidden images only without the others, and community images only with visibility=all.
    for is_hidden in (False, True):
        query = {"visibility": "all", "member_status": "all", "os_hidden": str(is_hidden).lower()}
        for document in _pages(read_page, query | {"limit": str(images_per_page)}, stop):
            images |= _listed(document)
            if document.get("unread_files"):  # the embedded image service has not read all files yet
                doubt = doubt or _UNREAD
    return ImageList(images, doubt)


def _pages(read_page: Callable[[str], Any], query: Mapping[str, str], stop: CancelToken | None) -> Any:
    """Yield the documents of all pages. Raises ValueError."""
    markers: set[str] = set()
    marker: str | None = None
    while True:
        if stop is not None:
            stop.check("Listing the images")
        document = read_page(f"/v2/images?{urlencode({**query, **({} if marker is None else {'marker': marker})})}")
        if not isinstance(document, dict) or not isinstance(document.get("images"), list):
            raise ValueError("the answer is not a list of images")
        yield document
        if (following := document.get("next")) is None:
            return
        marker = parse_qs(urlsplit(str(following)).query).get("marker", [""])[-1]
        if not marker or marker in markers or len(markers) == MOST_PAGES:
            raise ValueError("the list of images does not end")
        markers.add(marker)


def _listed(document: Mapping[str, Any]) -> dict[ImageId, ListedImage]:
    found = {}
    for record in document["images"]:
        if not isinstance(record, dict):
            raise ValueError("the list has what is no image record")
        with suppress(InvalidImageId):  # no entry of a cache can be of such an image
            name, status = record.get("name"), record.get("status")
            found[parse_image_id(str(record.get("id")))] = ListedImage(
                name if isinstance(name, str) else "", status if isinstance(status, str) else ""
            )
    return found
