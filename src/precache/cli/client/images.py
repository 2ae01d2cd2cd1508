"""Images, over the image service's API (Glance v2)."""

from __future__ import annotations

from urllib.parse import urlsplit

from precache.cli.client.session import Document, Session, objects
from precache.cli.errors import Ambiguous, AnswerNotUnderstood, Missing, NoImageService, RequestRefused
from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id


class Images:
    """The requests about images."""

    def __init__(self, session: Session, image_url: str) -> None:
        self._session = session
        self._url = f"{image_url}/images"

    def every(self, *, name: str | None = None) -> list[Document]:
        """Return all images, or those of one name; the service returns them in pages."""
        found: list[Document] = []
        try:
            document = self._session.whole("GET", self._url, query={"name": name})
        except RequestRefused as error:
            if error.status != 404:
                raise
            raise NoImageService(self._url) from error
        seen: set[str] = set()
        while True:
            found += objects(document, "images", f"GET {self._url}")
            following = document.get("next")
            if not following:
                return found
            if following in seen:
                raise AnswerNotUnderstood(f"GET {self._url}", f"its pages go round in a circle at {following}")
            seen.add(following)
            document = self._session.whole("GET", self._address_of(str(following)))

    def find(self, name_or_id: str) -> Document:
        """Return the image with this id, else this name. Raises Missing, or Ambiguous if several have the name."""
        by_id = self._by_id(name_or_id)
        if by_id is not None:
            return by_id
        # Not every service filters by name; the others return all images.
        matches = [found for found in self.every(name=name_or_id) if found.get("name") == name_or_id]
        if not matches:
            raise Missing("image", name_or_id, "'precache image list' shows all")
        if len(matches) > 1:
            raise Ambiguous("image", name_or_id, [str(found["id"]) for found in matches])
        return matches[0]

    def _by_id(self, text: str) -> Document | None:
        """Return the image if the text is an id and there is one; an image may be named like an id."""
        try:
            image_id = parse_image_id(text)
        except InvalidImageId:
            return None
        try:
            found = self._session.whole("GET", f"{self._url}/{image_id}")
        except RequestRefused as error:
            if error.status != 404:
                raise
            return None
        if "id" not in found:
            raise AnswerNotUnderstood(f"GET {self._url}/{image_id}", "it has no 'id'")
        return found

    def _address_of(self, following: str) -> str:
        """Return the address of the next page.

        `following` is a path behind any proxy, so that only its query can be used here.
        """
        return f"{self._url}?{urlsplit(following).query}"
