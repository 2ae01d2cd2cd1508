"""The driver of hypervisors without an image cache: it answers so, and does nothing."""

from __future__ import annotations

from precache.core.orders import CacheOrder
from precache.ports.progress import Watcher
from precache.virt.setup import HostSetup


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

    def cache_image(self, order: CacheOrder, watch: Watcher) -> bool:
        raise NotImplementedError("the hypervisor of this host keeps no image cache")

    def clean_cache(self) -> None:
        """There is nothing to clean."""
