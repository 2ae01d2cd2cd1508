"""Compares the images in the caches with those of the image service, by one conductor at a time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from precache.background.cancel_token import CancelToken
from precache.conductor.held_duty import HeldDuty
from precache.core.cache_inventory import CachedImage
from precache.core.errors import ImageNotAuthorized, ImageNotFound, ImageServiceUnavailable
from precache.core.image_list import ImageFinding, ServiceStatus
from precache.core.text import number_of
from precache.ports.cache_inventory import ImageStatuses
from precache.ports.image_service import ImageListing, ImageSource
from precache.rules.image_findings import find_images, finding_of

_log = logging.getLogger(__name__)

PAGE = 1000

MOST_REQUESTED = 500
"""Images that are requested one by one in a pass, because the list did not have them; the others follow in the next."""


class ImageService(ImageListing, ImageSource, Protocol):
    """The image service, with the service's own credentials."""


class CheckImages:
    """One pass, to be repeated every some minutes. For one thread. stop: ends the pass before its next request."""

    def __init__(self, *, duty: HeldDuty, statuses: ImageStatuses, images: ImageService, stop: CancelToken) -> None:
        self._duty, self._statuses, self._images, self._stop = duty, statuses, images, stop
        self._doubt = ""

    def __call__(self) -> None:
        """Store what has become of each cached image. If the image service fails, all stays as it is stored.

        Raises StoreUnavailable, ImageNotAuthorized, ImageServiceUnavailable, Stopped.
        """
        if not self._duty.is_held():
            return
        # Read before the list: an image that is cached meanwhile may be newer than the list.
        cached = {each.entry: each for each in self._cached()}
        if not cached:
            return
        listed = self._images.list_images(stop=self._stop)
        self._say_if_not_whole(listed.doubt)
        findings = find_images(cached.values(), listed)
        doubtful = [each for each in findings if self._is_newly_gone(each, cached)]
        sure = [each for each in findings if not self._is_newly_gone(each, cached)]
        self._statuses.note_statuses(sure)
        confirmed = list(self._confirmed(doubtful, cached))
        self._statuses.note_statuses(confirmed)
        _log_changes([*sure, *confirmed], cached)

    def _cached(self) -> Iterator[CachedImage]:
        page = self._statuses.list_images(limit=PAGE)
        while page:
            yield from page
            page = self._statuses.list_images(limit=PAGE, marker=page[-1].entry)

    @staticmethod
    def _is_newly_gone(finding: ImageFinding, cached: dict[str, CachedImage]) -> bool:
        return finding.status is ServiceStatus.GONE and cached[finding.entry].status != ServiceStatus.GONE

    def _confirmed(self, gone: list[ImageFinding], cached: dict[str, CachedImage]) -> Iterator[ImageFinding]:
        """Request each of these images by its id, if that is known: it may have been hidden while the list was read."""
        for finding in gone[:MOST_REQUESTED]:
            self._stop.check("Comparing the cached images with the image service")
            image = cached[finding.entry].image
            if image is None:
                yield finding
                continue
            try:
                found = self._images.show(image)
            except ImageNotFound:
                yield finding
            except (ImageNotAuthorized, ImageServiceUnavailable):
                continue
            else:
                yield finding_of(finding.entry, found.id, found.name, found.status)

    def _say_if_not_whole(self, doubt: str) -> None:
        if doubt not in ("", self._doubt):
            _log.warning(
                "The list of the image service may lack images, because %s; cached images that are not in it are "
                "shown as unknown, not as gone",
                doubt,
            )
        self._doubt = doubt


def _log_changes(findings: list[ImageFinding], cached: dict[str, CachedImage]) -> None:
    counts = Counter(each.status for each in findings if each.status != cached[each.entry].status)
    for status, meaning in ((ServiceStatus.GONE, "left"), (ServiceStatus.DEACTIVATED, "were deactivated in")):
        if counts[status]:
            _log.info("%s %s the image service", number_of(counts[status], "cached image"), meaning)
