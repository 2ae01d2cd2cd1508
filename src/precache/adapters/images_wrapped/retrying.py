"""Another try when the image service is away for a moment."""

from __future__ import annotations

import logging
from datetime import timedelta

from precache.core.errors import Unavailable
from precache.core.images import Image, ImageId
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource, ImageStream, IsWanted, for_ever

_LOG = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=0.5)


class Retrying:
    """An `ImageSource` whose `show` is tried up to `attempts` times, with pauses that double.

    `open` is passed on as it is: whoever transfers knows how far it got and resumes by itself.
    """

    def __init__(self, inner: ImageSource, *, clock: Clock, attempts: int = 3, pause: timedelta = FIRST_PAUSE) -> None:
        if attempts < 1:
            raise ValueError(f"at least one attempt is needed, not {attempts}")
        self._inner, self._clock, self._attempts, self._pause = inner, clock, attempts, pause

    def show(self, image: ImageId) -> Image:
        for failed in range(self._attempts - 1):
            try:
                return self._inner.show(image)
            except Unavailable as exc:
                _LOG.info("image %s: %s; attempt %d of %d failed", image, exc, failed + 1, self._attempts)
                self._clock.sleep(self._pause * 2**failed)
        return self._inner.show(image)

    def open(self, image: ImageId, offset_bytes: int = 0, *, is_wanted: IsWanted = for_ever) -> ImageStream:
        return self._inner.open(image, offset_bytes, is_wanted=is_wanted)
