"""Finds the kernels and ramdisks with which instances of the requested images boot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from precache.core.errors import ImageFormatUnsupported, ImageNotFound, InvalidImageId, NotFound, Refused
from precache.core.images import Image, ImageId, parse_image_id
from precache.core.orders import ImageOrder
from precache.core.text import plain_line
from precache.ports.image_service import ImageCatalog
from precache.rules.admission import check_admissible
from precache.rules.conversion import is_cached_as_is

NAMED_BY = "Image {image} has it as its {property}."


class BootFiles:
    """Adds the images that others name as their kernel or ramdisk: a boot reads these from the cache, too."""

    def __init__(self, images: ImageCatalog) -> None:
        self._images = images

    def added(
        self, token: str | None, orders: Sequence[ImageOrder], images: Iterable[Image]
    ) -> tuple[list[ImageOrder], list[Image]]:
        """Return the orders with those of kernels and ramdisks, and the images that were added.

        images: of the orders, in their order. A kernel or ramdisk follows the first image that names it and gets its
        options; one that has an order stays where it is. Each is looked up with the caller's token.
        Raises what an image of the request raises, with the image that names it; ImageServiceUnavailable.
        """
        wanted = {image.id: _boot_files(image) for image in images}
        named = _named_by(wanted)
        if not named:
            return list(orders), []
        listed = self._images.find_listed(token, list(named))
        found = {file: self._find(token, file, listed.get(file), *namer) for file, namer in named.items()}
        marked = [
            replace(order, options=replace(order.options, as_is=True)) if order.image in named else order
            for order in orders
        ]
        return _with_files(
            marked,
            wanted,
            found,
            lambda order, file: replace(order, image=file, options=replace(order.options, as_is=True, base=None)),
        )

    def still_known(
        self, token: str | None, orders: Sequence[ImageOrder], images: Iterable[Image]
    ) -> tuple[list[ImageOrder], list[Image]]:
        """Return the same for what is done with images that are in caches.

        What the image service does not show, or what is no kernel or ramdisk, is left out.
        Raises ImageServiceUnavailable.
        """
        wanted = {image.id: _valid_boot_files(image) for image in images}
        named = _named_by(wanted)
        if not named:
            return list(orders), []
        listed = self._images.find_listed(token, list(named))
        shown = {file: listed.get(file) or self._shown(token, file) for file in named}
        found = {
            file: image for file, image in shown.items() if image is not None and is_cached_as_is(image.disk_format)
        }
        return _with_files(orders, wanted, found, lambda order, file: replace(order, image=file))

    def _shown(self, token: str | None, file: ImageId) -> Image | None:
        try:
            return self._images.show_to(token, file)
        except (NotFound, Refused):
            return None

    def _find(self, token: str | None, file: ImageId, listed: Image | None, image: ImageId, name: str) -> Image:
        """Return the image of a kernel or ramdisk. image, name: which image names it, in which property."""
        try:
            found = listed or self._images.show_to(token, file)
            check_admissible(found)
            if not is_cached_as_is(found.disk_format):
                raise ImageFormatUnsupported(file, found.disk_format)
        except (NotFound, Refused) as error:
            raise error.with_sentence(NAMED_BY.format(image=image, property=name)) from None
        return found


_Files = dict[ImageId, dict[str, ImageId]]
"""The kernel and the ramdisk of each image, by property."""


def _named_by(wanted: _Files) -> dict[ImageId, tuple[ImageId, str]]:
    """Return the first image, and its property, that names each kernel or ramdisk."""
    return {file: (image, name) for image, files in reversed(wanted.items()) for name, file in files.items()}


def _with_files(
    orders: Sequence[ImageOrder],
    wanted: _Files,
    found: Mapping[ImageId, Image],
    order_of: Callable[[ImageOrder, ImageId], ImageOrder],
) -> tuple[list[ImageOrder], list[Image]]:
    """Return the orders with those of the found kernels and ramdisks, and the images that were added.

    order_of: returns the order of a kernel or ramdisk, from that of the image that names it.
    """
    ordered = {order.image for order in orders}
    result: dict[ImageId, ImageOrder] = {}
    for order in orders:
        result[order.image] = order
        for file in wanted[order.image].values():
            if file not in ordered and file in found:
                result.setdefault(file, order_of(order, file))
    return list(result.values()), [image for file, image in found.items() if file not in ordered]


def _valid_boot_files(image: Image) -> dict[str, ImageId]:
    """Return the images that this one names, by property; without texts that are no ids."""
    try:
        return _boot_files(image)
    except ImageNotFound:
        return {}


def _boot_files(image: Image) -> dict[str, ImageId]:
    """Return the images that this one names, by property. Raises ImageNotFound for a text that is no id."""
    files = {"kernel_id": image.kernel_id, "ramdisk_id": image.ramdisk_id}
    return {name: _image_id(text, image.id, name) for name, text in files.items() if text is not None}


def _image_id(text: str, image: ImageId, name: str) -> ImageId:
    try:
        return parse_image_id(text)
    except InvalidImageId:
        raise ImageNotFound(plain_line(text)).with_sentence(NAMED_BY.format(image=image, property=name)) from None
