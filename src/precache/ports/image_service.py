"""Images of the image service (Glance v2): records for the API, data for the hosts.

Errors: ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable (worth a retry),
and while reading TransferInterrupted (worth a resume).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from precache.background.cancel_token import CancelToken
from precache.core.image_list import ImageList
from precache.core.images import Image, ImageId

MOST_NAMESAKES = 20
"""Images of one name that are looked for: enough to say which they are."""


class ImageCatalog(Protocol):
    """The images that a caller may see. Every call uses that caller's own token."""

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:
        """Return the image as the bearer of the token sees it.

        Raises ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable.
        """
        ...

    def find_listed(self, caller_token: str | None, images: Sequence[ImageId]) -> dict[ImageId, Image]:
        """Return those of the images that a listing with the token contains, by id; in few requests.

        They are as `show_to` returns them. The others may still exist: a listing leaves out hidden images, and some
        images of other projects that `show_to` returns. Raises ImageServiceUnavailable.
        """
        ...

    def find_named(self, caller_token: str | None, name: str) -> list[Image]:
        """Return the images with exactly this name that a listing with the token contains, MOST_NAMESAKES at most.

        One request. Raises ImageNotAuthorized, ImageServiceUnavailable; ImageNotFound if the service has no list.
        """
        ...


class ImageListing(Protocol):
    """All images, for a conductor, read with the service's own credentials."""

    def list_images(self, *, stop: CancelToken | None = None) -> ImageList:
        """Return all images that the service's user sees, private and hidden ones too, in several requests.

        stop: once it is cancelled, it raises Stopped after the request that is under way.
        Raises ImageNotAuthorized, ImageServiceUnavailable, also if only the last request of several fails.
        """
        ...


class ImageStream(Protocol):
    """The bytes of one image from an offset to the end, closed by the code that opened it.

    Not for several threads at once, except `close`: another thread may call it to end a blocked `readinto`, which then
    raises TransferInterrupted.
    """

    @property
    def remaining_bytes(self) -> int | None:
        """The announced number of bytes still to come when the stream was opened; None if not announced."""
        ...

    @property
    def has_marked_end(self) -> bool:
        """Return whether a length or a last chunk distinguishes the end of the data from a broken connection."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Fill up to len(buffer) bytes and return their number, 0 at the end. A short read is not the end.

        Raises TransferInterrupted if the connection breaks, stalls or ends before the announced length.
        """
        ...

    def close(self) -> None: ...


class ImageSource(Protocol):
    """Images for a host, read with the service's own credentials."""

    def show(self, image: ImageId) -> Image:
        """Return the image's record. Raises ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable."""
        ...

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        """Begin to read at `offset_bytes`; one request to the service.

        stop: once it is cancelled, a caller that waits gets ImageServiceUnavailable soon.
        Raises ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable; NoImageData if the record has no data;
        TransferInterrupted if the service will not start at an offset other than 0.
        """
        ...

    def open_range(
        self, image: ImageId, offset_bytes: int, length_bytes: int, *, stop: CancelToken | None = None
    ) -> ImageStream:
        """Begin to read so many bytes, which the image has, from `offset_bytes` on; one request to the service.

        After the last byte the stream ends. Raises as `open`; TransferInterrupted if the service sends another range.
        """
        ...

    def read_pieces(self, image: Image, most_bytes: int) -> bytes:
        """Return what is at the place that `image.pieces` names: the SHA-256 of each piece of 64 KiB, in order.

        most_bytes: a longer answer is cut off after one more byte.
        Raises ImageNotFound, also for a place that the service cannot have; ImageNotAuthorized, NoImageData,
        ImageServiceUnavailable, TransferInterrupted.
        """
        ...
