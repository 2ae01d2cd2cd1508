"""The driver of hypervisors without an image cache: it answers so, and does nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.cache_entries import CacheListing
from precache.core.images import ImageId
from precache.core.operation_result import OperationResult
from precache.core.orders import ImageOrder
from precache.core.pins import Pin
from precache.ports.progress import Watcher
from precache.virt.setup import HostSetup

_NO_CACHE = "the hypervisor of this host keeps no image cache"


class UncachedDriver:
    """The port `VirtDriver` for a host that cannot cache images."""

    @classmethod
    def build(cls, setup: HostSetup) -> UncachedDriver:  # noqa: ARG003  the same for every driver
        return cls()

    @property
    def name(self) -> str:
        return "uncached"

    def start(self) -> None:
        """There is nothing to make ready."""

    def cache_image(self, order: ImageOrder, watch: Watcher) -> bool:
        raise NotImplementedError(_NO_CACHE)

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        raise NotImplementedError(_NO_CACHE)

    def list_cache(self) -> CacheListing:
        raise NotImplementedError(_NO_CACHE)

    def hash_entries(self, check_stop: Callable[[], None]) -> None:
        """Do nothing: there is nothing to hash."""

    def verify_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        raise NotImplementedError(_NO_CACHE)

    def verify_due(self, interval: timedelta, rate_now: Callable[[], int], watch: Watcher) -> ImageId | None:
        """There is nothing to verify."""

    def purge_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        raise NotImplementedError(_NO_CACHE)

    def pin_image(self, image: ImageId, pin: Pin, wait: Callable[[], None]) -> None:
        raise NotImplementedError(_NO_CACHE)

    def unpin_image(self, image: ImageId, wait: Callable[[], None]) -> OperationResult:
        raise NotImplementedError(_NO_CACHE)

    def touch_pinned(self) -> Sequence[ImageId]:
        return ()

    def share_cache(self) -> str:
        return ""

    def clean_cache(self) -> None:
        """There is nothing to clean."""

    def clean_now(self, request: CleanRequest) -> CleanResult:
        raise NotImplementedError(_NO_CACHE)
