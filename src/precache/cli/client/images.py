"""Images, over the image service's API (Glance v2)."""

from __future__ import annotations

from precache.cli.client.pages import items_of_pages
from precache.cli.client.session import JsonObject, Session
from precache.cli.errors import Ambiguous, AnswerNotUnderstood, Missing, NoImageService, RequestRefused
from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id


class Images:
    """The requests about images."""

    def __init__(self, session: Session, image_url: str) -> None:
        self._session = session
        self._url = f"{image_url}/images"

    def every(self, *, name: str | None = None) -> list[JsonObject]:
        """Return all images, or those of one name; the service returns them in pages."""
        return self.every_and_unread(name=name)[0]

    def every_and_unread(self, *, name: str | None = None) -> tuple[list[JsonObject], int]:
        """Return what `every` returns, and how many files the embedded image service has not finished reading."""
        try:
            first = self._session.whole("GET", self._url, query={"name": _exactly(name)})
        except RequestRefused as error:
            if error.status != 404:
                raise
            raise NoImageService(self._url) from error
        pages = items_of_pages(self._session, self._url, "images", first, lambda page, _: str(page.get("next") or ""))
        unread = first.get("unread_files")
        return list(pages), unread if isinstance(unread, int) else 0

    def find(self, name_or_id: str) -> JsonObject:
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

    def _by_id(self, text: str) -> JsonObject | None:
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


def _exactly(name: str | None) -> str | None:
    """Return the filter for the name. Glance takes the text before a colon for an operator, such as `in:`."""
    return f"eq:{name}" if name and ":" in name else name
