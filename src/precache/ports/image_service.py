"""Images of the image service (Glance v2): what they are, for the API; their bytes, for the hosts.

Three needs, three ports. Errors: ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable (worth a retry),
and while reading TransferInterrupted (worth a resume).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from precache.core.images import Image, ImageId

IsWanted = Callable[[], bool]
"""Returns whether somebody still waits for what was asked for; may be called often, and by any thread."""


def for_ever() -> bool:
    """Return True: the wait does not end before its time."""
    return True


class ImageCatalog(Protocol):
    """What a caller may see of the images. Every call asks the service with that caller's own token."""

    def show_to(self, caller_token: str | None, image: ImageId) -> Image:
        """Return the image as the bearer of the token sees it.

        Raises ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable.
        """
        ...

    def find_listed(self, caller_token: str | None, images: Sequence[ImageId]) -> dict[ImageId, Image]:
        """Return those of the images that the bearer of the token finds in a list, by id; in few requests.

        They are as `show_to` gives them. Of the others nothing is known: a list leaves out what is hidden, and images
        of other projects that `show_to` may well show. Raises ImageServiceUnavailable.
        """
        ...


class ImageStream(Protocol):
    """The bytes of one image from some offset to the end; a context manager, closed by whoever opened it.

    Not for several threads at once, except `close`, which may be called by another thread to make a
    blocked `readinto` end (it then raises TransferInterrupted).
    """

    @property
    def remaining_bytes(self) -> int | None:
        """The announced number of bytes still to come when the stream was opened; None if not announced."""
        ...

    @property
    def has_marked_end(self) -> bool:
        """Return whether the end of the data can be told from a broken connection: by a length or a last chunk."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Fill up to len(buffer) bytes and return their number, 0 at the end. A short read is not the end.

        Raises TransferInterrupted if the connection breaks, stalls or ends before the announced length.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> ImageStream: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ImageSource(Protocol):
    """Images for a host, read with the service's own credentials."""

    def show(self, image: ImageId) -> Image:
        """Return the image's record. Raises ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable."""
        ...

    def open(self, image: ImageId, offset_bytes: int = 0, *, is_wanted: IsWanted = for_ever) -> ImageStream:
        """Begin to read at `offset_bytes`; one request to the service.

        is_wanted: looked at now and then by whoever makes the caller wait, for a turn or for another server; once it
            says no, ImageServiceUnavailable is raised soon.
        Raises ImageNotFound, ImageNotAuthorized, ImageServiceUnavailable; NoImageData if the record has no data;
        TransferInterrupted if the service will not start at an offset other than 0.
        """
        ...
