"""Finds the kernels and ramdisks with which instances of the requested images boot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        named = {file: (image, name) for image, files in reversed(wanted.items()) for name, file in files.items()}
        if not named:
            return list(orders), []
        listed = self._images.find_listed(token, list(named))
        found = {file: self._find(token, file, listed.get(file), *namer) for file, namer in named.items()}
        ordered = {order.image for order in orders}
        result: dict[ImageId, ImageOrder] = {}
        for order in orders:
            is_file = order.image in named
            result[order.image] = replace(order, options=replace(order.options, as_is=True)) if is_file else order
            for file in wanted[order.image].values():
                if file not in ordered:
                    result.setdefault(file, replace(order, image=file, options=replace(order.options, as_is=True)))
        return list(result.values()), [image for file, image in found.items() if file not in ordered]

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


def _boot_files(image: Image) -> dict[str, ImageId]:
    """Return the images that this one names, by property. Raises ImageNotFound for a text that is no id."""
    files = {"kernel_id": image.kernel_id, "ramdisk_id": image.ramdisk_id}
    return {name: _image_id(text, image.id, name) for name, text in files.items() if text is not None}


def _image_id(text: str, image: ImageId, name: str) -> ImageId:
    try:
        return parse_image_id(text)
    except InvalidImageId:
        raise ImageNotFound(plain_line(text)).with_sentence(NAMED_BY.format(image=image, property=name)) from None
