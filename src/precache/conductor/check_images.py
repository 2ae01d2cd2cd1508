"""Compares the images in the caches with those of the image service, by one conductor at a time."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from precache.background.cancel_token import CancelToken
from precache.conductor.held_duty import HeldDuty
from precache.core.cache_inventory import CachedImage, ImageFilter
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


MOST_NEW = 100
"""New images that are requested in a pass; the next list has the others."""

_NOT_ASKED = ImageFilter(statuses=frozenset({None}))


class ImageService(ImageListing, ImageSource, Protocol):
    """The image service, with the service's own credentials."""


class CheckImages:
    """One pass, to be repeated more often than the interval. For one thread.

    interval: between two lists of the image service; meanwhile only new images are requested, one by one.
    stop: ends the pass before its next request.
    """

    def __init__(
        self,
        *,
        duty: HeldDuty,
        statuses: ImageStatuses,
        images: ImageService,
        stop: CancelToken,
        interval: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duty, self._statuses, self._images, self._stop = duty, statuses, images, stop
        self._interval_s, self._monotonic = interval.total_seconds(), monotonic
        self._list_at = -math.inf
        self._doubt = ""

    def __call__(self) -> None:
        """Store what has become of cached images. If the image service fails, all stays as it is stored.

        Raises StoreUnavailable, Stopped.
        """
        if not self._duty.is_held():
            return
        if self._monotonic() < self._list_at:
            self._request_new()
        else:
            self._compare_all()

    def _request_new(self) -> None:
        """Request the images of which the image service was not asked yet; whether one is gone only a list tells."""
        findings = []
        for each in self._statuses.list_images(only=_NOT_ASKED, limit=MOST_NEW):
            self._stop.check("Asking the image service for new images")
            if each.image is not None:
                try:
                    found = self._images.show(each.image)
                except ImageNotFound:
                    continue
                except (ImageNotAuthorized, ImageServiceUnavailable):
                    break  # the next list says why
                findings.append(finding_of(each.entry, found.id, found.name, found.status))
        self._statuses.note_statuses(findings)

    def _compare_all(self) -> None:
        # Read before the list: an image that is cached meanwhile may be newer than the list.
        cached = {each.entry: each for each in self._cached()}
        if not cached:
            return
        self._list_at = self._monotonic() + self._interval_s  # also if this one fails
        try:
            listed = self._images.list_images(stop=self._stop)
        except (ImageNotAuthorized, ImageServiceUnavailable) as error:
            _log.warning("The status of cached images stays as it is for now: %s", error)
            return
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
