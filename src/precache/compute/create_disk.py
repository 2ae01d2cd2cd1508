"""The use case behind `precache disk create`: an instance's disk on a plain libvirt or qemu host, over the cache."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from precache.core.errors import CachingUnsupported, DiskExists, DiskRefused, DiskTooSmall, ImageNotCached
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.imagecache.cache import ImageCache
from precache.imagecache.disks.overlay import create_overlay, inspect_base
from precache.imagecache.disks.overlay_list import add_overlay
from precache.ports.clock import Clock
from precache.ports.progress import Watcher
from precache.ports.virt_driver import VirtDriver

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Disk:
    """A new disk. fetched: whether the image was downloaded for it."""

    path: Path
    backing: Path
    backing_format: str
    size_bytes: int
    fetched: bool


class CreateDisk:
    """Makes disks on images of this host's cache.

    driver, cache: of the same host; the driver caches the image as it does for pre-caching.
    force_raw: this host's `force_raw_images`.
    """

    def __init__(self, *, driver: VirtDriver, cache: ImageCache, clock: Clock, force_raw: bool) -> None:
        self._driver = driver
        self._cache = cache
        self._clock = clock
        self._force_raw = force_raw

    def __call__(self, image: ImageId, path: Path, size_bytes: int | None, watch: Watcher) -> Disk:
        """Cache the image, then make a qcow2 disk at `path` on top of it.

        size_bytes: of the disk as the guest sees it; None for the size of the image. Raises DiskExists, DiskRefused,
        DiskTooSmall, CachingUnsupported, and what the driver raises; then nothing new is at `path`.
        """
        path = path.absolute()
        self._check_place(path)
        for _ in range(_ATTEMPTS):
            fetched = self._cache_image(image, watch)
            with suppress(ImageNotCached):  # it was removed between the two steps
                return self._on_entry(image, path, size_bytes, watch, fetched)
        raise ImageNotCached(image, str(self._cache.directory))

    def _cache_image(self, image: ImageId, watch: Watcher) -> bool:
        try:
            return self._driver.cache_image(ImageOrder(image), watch)
        except NotImplementedError as error:
            raise CachingUnsupported(image, str(error)) from error

    def _on_entry(self, image: ImageId, path: Path, size_bytes: int | None, watch: Watcher, fetched: bool) -> Disk:
        def create(entry: Path) -> Disk:
            base = inspect_base(entry, force_raw=self._force_raw)
            size = base.virtual_size_bytes if size_bytes is None else size_bytes
            if size < base.virtual_size_bytes:
                raise DiskTooSmall(image, size, base.virtual_size_bytes)
            # Before the disk exists, because the cleaner must know every disk that uses an entry.
            add_overlay(self._cache.directory, entry.name, path, self._clock.now())
            create_overlay(base, path, size)
            return Disk(path, entry, base.disk_format, size, fetched)

        return self._cache.use(image, create, wait=lambda: watch(Phase.WAITING, 0, 0))

    def _check_place(self, path: Path) -> None:
        """Check before the download what would fail after it."""
        if path.exists() or path.is_symlink():
            raise DiskExists(str(path))
        if not path.parent.is_dir():
            raise DiskRefused(str(path), f"{path.parent} is not a directory; create it first")
        cache = self._cache.directory.resolve()
        if path.parent.resolve().is_relative_to(cache):
            raise DiskRefused(
                str(path), f"{cache} is the image cache, in which only images are kept; give another directory"
            )
