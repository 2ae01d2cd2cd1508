"""The images in the caches of the hosts, over Precache's own API."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from precache.cli.client.pages import read_pages, read_with_pages
from precache.cli.client.session import JsonObject, Session
from precache.cli.errors import Ambiguous, Missing
from precache.core.cache_entries import parse_entry
from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id


class CachedImages:
    """The requests about what the hosts hold."""

    def __init__(self, session: Session, own_url: str) -> None:
        self._session = session
        self._url = f"{own_url}/images"

    def every(self, **only: str | Sequence[str] | None) -> list[JsonObject]:
        """Return the images that some host holds or should hold. only: required values of fields; None for any."""
        return read_pages(self._session, self._url, "images", query=only)

    def hosts(self, image: str, **only: str | None) -> tuple[JsonObject, list[JsonObject]]:
        """Return the image, and the hosts that hold it or should hold it. image: its id, or the name of its entry."""
        url = f"{self._url}/{quote(image, safe='', errors='surrogateescape')}/hosts"
        first, hosts = read_with_pages(self._session, url, "hosts", query=only)
        found = first.get("image")
        return found if isinstance(found, dict) else {}, hosts

    def find(self, text: str) -> str:
        """Return the id, or the name of the entry, of the image with this id, entry or name.

        An image that has left the image service is found, too. Raises Missing, or Ambiguous if several have the name.
        """
        try:
            return parse_image_id(text)
        except InvalidImageId:
            if (entry := parse_entry(text)) is not None:
                return entry
        found = [str(each.get("image") or each.get("entry")) for each in self.every(name=text)]
        if not found:
            raise Missing("cached image", text, "'precache image list --cached' shows all")
        if len(found) > 1:
            raise Ambiguous("cached image", text, found)
        return found[0]
