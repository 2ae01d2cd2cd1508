"""What a compute needs from the driver of its hypervisor: one object with four groups of methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.cache_entries import CacheListing
from precache.core.images import ImageId
from precache.core.operation_result import OperationResult
from precache.core.orders import ImageOrder
from precache.core.pins import Pin
from precache.ports.progress import Watcher


class ImageCaching(Protocol):
    """The images in one cache: which there are, and how more get there."""

    @property
    def name(self) -> str:
        """Return its name in configuration and in the host list, such as `libvirt`."""
        ...

    def start(self) -> None:
        """Prepare once, before any other call: remove temporary files of a dead process.

        Raises CacheUnusable if the cache cannot be used at all.
        """
        ...

    def cache_image(self, order: ImageOrder, watch: Watcher) -> bool:
        """Put the image into the cache. Return True if it was fetched now, False if it was there and was touched.

        Raises NotImplementedError, with the reason, where this host cannot or need not cache images; any error of
        core/errors where it failed; what `watch` raises.
        """
        ...

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        """Return which of the images are in the cache, and the space for the others; takes milliseconds.

        Read no data of an image, change nothing, and wait for no fetch: an image that is being fetched is not there.
        Raises NotImplementedError, with the reason, as `cache_image` would; any error of core/errors.
        """
        ...

    def list_cache(self) -> CacheListing:
        """Return all images of the cache, and the space; takes some 100 ms for 2,000 images.

        Read no data of an image, change nothing, and wait for no fetch. A pinned image that is gone is listed as
        missing. Raises NotImplementedError, with the reason, as `cache_image` would; CacheUnusable.
        """
        ...

    def share_cache(self) -> str:
        """Announce this host to others that share its cache, with what its guests use there.

        Return what identifies the cache, the same on all these hosts; empty if no other host can share it. Called at
        least every ten minutes. Raises CacheUnusable.
        """
        ...


class ImagePinning(Protocol):
    """Promises that images stay in one cache."""

    def pin_image(self, image: ImageId, pin: Pin, wait: Callable[[], None]) -> None:
        """Keep the cached image as long as one of its pins counts, also if it is unused.

        The pin replaces an earlier one by the same. When this returns, a restart of the host or of the compute does not
        change it. The image's expiry restarts.
        wait: called some ten times a second while another uses the image; what it raises ends the wait.
        Raises ImageNotPinned, with the reason; ImageNotCached; NotImplementedError as `cache_image` would.
        """
        ...

    def unpin_image(self, image: ImageId, wait: Callable[[], None]) -> OperationResult:
        """Remove all pins of the image, so that it expires as all others; return UNPINNED, or ABSENT without a pin.

        The image need not be in the cache. wait, errors: as of `pin_image`, and CacheUnusable.
        """
        ...

    def touch_pinned(self) -> Sequence[ImageId]:
        """Restart the expiry of the pinned images, so that another owner of the cache does not remove them.

        Return those that are pinned and gone from the cache, and that this host is to fetch again: not what is being
        fetched. Remove pins that are over; a driver may wait before that until the clock is sure to be right.
        Called regularly, with half the time after which an unused image is removed or more often. Raises CacheUnusable.
        """
        ...


class ImageVerification(Protocol):
    """The content of the images in one cache."""

    def hash_entries(self, check_stop: Callable[[], None]) -> None:
        """Hash the images that were cached without a digest of their content, and store the digests.

        Called every few seconds, by one thread; blocks as long as the reading takes. Boots and fetches do not wait for
        it. check_stop: called every few milliseconds; what it raises ends the work. Raises CacheUnusable.
        """
        ...

    def verify_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        """Read the image in the cache and compare it with what was published.

        Return INTACT; CORRUPT: then the image is in the cache no longer, or a guest stands on it; UNVERIFIABLE: there
        is nothing to compare it with; ABSENT; ERROR. The reason says what was done. A boot does not wait for it.
        Reports VERIFYING to `watch`. Raises NotImplementedError as `cache_image` would; any error of core/errors; what
        `watch` raises.
        """
        ...

    def verify_due(self, interval: timedelta, rate_now: Callable[[], int], watch: Watcher) -> ImageId | None:
        """Verify one image as `verify_image` does: the one that was verified least recently, and not within `interval`.

        rate_now: returns the limit of the reading as it is now, in bytes per second; 0 to stand still.
        Return the image; None if none is due. Raises any error of core/errors; what `watch` raises.
        """
        ...


class CacheCleaning(Protocol):
    """What is removed from one cache."""

    def purge_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        """Remove the image from the cache, with all that is kept of it.

        Return PURGED; ABSENT; IN_USE, with the disks that stand on it as the reason; ERROR if it is pinned and the
        order has not `even_pinned`, or if it is not known whether it is in use. Waits for who uses the image just now.
        Raises NotImplementedError as `cache_image` would; any error of core/errors; what `watch` raises.
        """
        ...

    def clean_cache(self) -> None:
        """Make one pass over the cache and remove what has expired, except what is pinned.

        Does nothing if another service owns the cache.
        """
        ...

    def clean_now(self, request: CleanRequest) -> CleanResult:
        """Remove at once what an operator asks for, and return what was removed and why the rest stays.

        What is in use, pinned or in flight stays. A dry run changes nothing. Where another service owns the cache, only
        a dry run is done. Raises NotImplementedError, with the reason, as `cache_image` would; CacheUnusable.
        """
        ...


class VirtDriver(ImageCaching, ImagePinning, ImageVerification, CacheCleaning, Protocol):
    """Knows one hypervisor's image cache. Called from several threads at once."""
