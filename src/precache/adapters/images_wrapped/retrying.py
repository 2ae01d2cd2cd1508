"""Retries while the image service is unavailable for a moment."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from precache.background.backoff import SERVICE_RESTARTS, retry_until
from precache.background.cancel_token import CancelToken
from precache.core.images import Image, ImageId
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource, ImageStream


class Retrying:
    """An `ImageSource` that calls `show` up to `attempts` times, with growing waits between them.

    `open` is not retried: the transfer knows its offset and resumes by itself.
    """

    def __init__(self, inner: ImageSource, *, clock: Clock, attempts: int = 3) -> None:
        if attempts < 1:
            raise ValueError(f"at least one attempt is needed, not {attempts}")
        self._inner, self._clock = inner, clock
        self._backoff = replace(SERVICE_RESTARTS, attempts=attempts)

    def show(self, image: ImageId) -> Image:
        return retry_until(
            lambda: self._inner.show(image),
            what="The query for image",
            of=str(image),
            wait=lambda seconds: self._clock.sleep(timedelta(seconds=seconds)),
            backoff=self._backoff,
            level=logging.INFO,
        )

    def open(self, image: ImageId, offset_bytes: int = 0, *, stop: CancelToken | None = None) -> ImageStream:
        return self._inner.open(image, offset_bytes, stop=stop)
