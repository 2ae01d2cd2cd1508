"""Another try when the image service is away for a moment."""

from __future__ import annotations

import logging

from precache.core.errors import Unavailable
from precache.core.images import Image, ImageId
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource, ImageStream, IsWanted, for_ever
from precache.rules.retry import wait_after

_log = logging.getLogger(__name__)


class Retrying:
    """An `ImageSource` whose `show` is tried up to `attempts` times, with the waits of `rules.retry` between.

    `open` is passed on as it is: whoever transfers knows how far it got and resumes by itself.
    """

    def __init__(self, inner: ImageSource, *, clock: Clock, attempts: int = 3) -> None:
        if attempts < 1:
            raise ValueError(f"at least one attempt is needed, not {attempts}")
        self._inner, self._clock, self._attempts = inner, clock, attempts

    def show(self, image: ImageId) -> Image:
        for failures in range(1, self._attempts):
            try:
                return self._inner.show(image)
            except Unavailable as exc:
                _log.info("image %s: %s; attempt %d of %d failed", image, exc, failures, self._attempts)
                self._clock.sleep(wait_after(failures))
        return self._inner.show(image)

    def open(self, image: ImageId, offset_bytes: int = 0, *, is_wanted: IsWanted = for_ever) -> ImageStream:
        return self._inner.open(image, offset_bytes, is_wanted=is_wanted)
