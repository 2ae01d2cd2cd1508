"""Finds the images that a request names by id or by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from precache.api.refusals import MOST_SHOWN, AmbiguousImage, EntryWithoutImage, TooManyImageNames, UnknownImages
from precache.core.cache_entries import entry_name, parse_entry
from precache.core.cache_inventory import ImageFilter
from precache.core.errors import ImageNotAuthorized, ImageNotFound, InvalidImageId
from precache.core.images import Image, ImageId, ImageStatus, parse_image_id
from precache.core.text import plain_line
from precache.ports.cache_inventory import CacheQueries
from precache.ports.image_service import MOST_NAMESAKES, ImageCatalog

MOST_IMAGE_NAMES = 100
"""The most image names in one request, because each needs a request to the image service while the caller waits."""


class NamedImages:
    """Finds images with the caller's own token: a caller who may not see an image cannot have it cached."""

    def __init__(self, images: ImageCatalog, caches: CacheQueries) -> None:
        self._images, self._caches = images, caches

    def find(self, token: str | None, texts: Sequence[str], *, may_be_gone: bool = False) -> list[Image]:
        """Return the image for each text: the one with this id, else the one with this name.

        may_be_gone: whether it may be an image which the image service does not have, or does not show to the caller:
            by its id, by the name of its entry, or by the name with which hosts have reported it. All that is known of
            it are id and name.
        Raises UnknownImages with all that do not exist; AmbiguousImage, EntryWithoutImage, TooManyImageNames,
        ImageNotAuthorized.
        """
        ids = {text: image for text in texts if (image := _as_id(text)) is not None}
        if may_be_gone:
            ids |= self._by_entry(texts)
        names = [text for text in dict.fromkeys(texts) if text not in ids]
        if len(names) > MOST_IMAGE_NAMES:
            raise TooManyImageNames(len(names), MOST_IMAGE_NAMES)
        listed = self._images.find_listed(token, list(dict.fromkeys(ids.values())))
        found: dict[str, Image] = {}
        unknown: list[str] = []
        for text in dict.fromkeys(texts):
            try:
                found[text] = self._by_id(token, text, ids[text], listed) if text in ids else self._by_name(token, text)
            except (ImageNotFound, ImageNotAuthorized) as error:
                if may_be_gone and (gone := self._gone(text, ids.get(text))) is not None:
                    found[text] = gone
                    continue
                if isinstance(error, ImageNotAuthorized):
                    raise
                unknown.append(text)
                if len(unknown) == MOST_SHOWN:
                    break  # each needs a request of its own; this many unknown names are enough
        if unknown:
            raise UnknownImages(unknown, may_be_gone=may_be_gone)
        return [found[text] for text in texts]

    def _by_id(self, token: str | None, text: str, image: ImageId, listed: Mapping[ImageId, Image]) -> Image:
        """Return the image; an image whose name has the form of an id is found, too."""
        try:
            return listed.get(image) or self._images.show_to(token, image)
        except ImageNotFound:
            return self._by_name(token, text)

    def _by_entry(self, texts: Sequence[str]) -> dict[str, ImageId]:
        """Return the images of those texts that are names of entries. Raises EntryWithoutImage."""
        entries = {text: entry for text in texts if (entry := parse_entry(text)) is not None}
        cached = self._caches.find_images(list(dict.fromkeys(entries.values()))) if entries else {}
        found: dict[str, ImageId] = {}
        for text, entry in entries.items():
            if entry in cached:
                image = cached[entry].image
                if image is None:
                    raise EntryWithoutImage(entry)
                found[text] = image
        return found

    def _by_name(self, token: str | None, name: str) -> Image:
        matches = self._images.find_named(token, name)
        if not matches:
            raise ImageNotFound(name)
        if len(matches) > 1:
            raise AmbiguousImage(plain_line(name), [image.id for image in matches])
        return matches[0]

    def _gone(self, text: str, image: ImageId | None) -> Image | None:
        """Return an image that the image service does not have; None for a name with which no host has reported one."""
        if image is not None:
            entry = entry_name(image)
            cached = self._caches.find_images([entry]).get(entry)
            return _deleted(image, cached.name if cached else None)
        named = self._caches.list_images(only=ImageFilter(name=text), limit=MOST_NAMESAKES)
        ids = [each.image for each in named if each.image is not None]
        if len(ids) > 1:
            raise AmbiguousImage(plain_line(text), ids)
        return _deleted(ids[0], text) if ids else None


def _deleted(image: ImageId, name: str | None) -> Image:
    return Image(image, name or "", ImageStatus.DELETED, disk_format=None, size_bytes=None)


def _as_id(text: str) -> ImageId | None:
    try:
        return parse_image_id(text)
    except InvalidImageId:
        return None
