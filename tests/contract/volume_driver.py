"""An example driver without local files, as another project would write it: each image becomes a volume.

docs/virt-drivers.md explains it. The storage is a dict here; it stands for the client of a real one.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from precache.core.cache_cleaning import CleanedEntry, CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.cache_entries import CachedEntry, CacheListing, CacheSpace, entry_name
from precache.core.errors import ImageNotCached
from precache.core.images import ImageId
from precache.core.jobs import Outcome, Phase
from precache.core.operation_result import OperationResult
from precache.core.orders import ImageOrder
from precache.core.pins import Pin, add_pin
from precache.imagecache.staging import Staging
from precache.ports.progress import Watcher
from precache.virt.setup import HostSetup

_WAIT_SECONDS = 0.1
_STORAGE_BYTES = 1 << 40


@dataclass
class VolumeDriver:
    """The port `VirtDriver` on volumes. One image at a time."""

    setup: HostSetup
    volumes: dict[ImageId, bytes] = field(default_factory=dict)
    last_use: dict[ImageId, datetime] = field(default_factory=dict)
    pins: dict[ImageId, tuple[Pin, ...]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def build(cls, setup: HostSetup) -> VolumeDriver:
        return cls(setup)

    @property
    def name(self) -> str:
        return "volume"

    def start(self) -> None:
        """A driver of a real storage removes the volumes that a dead process left incomplete."""

    def cache_image(self, order: ImageOrder, watch: Watcher) -> bool:
        image = order.image
        while not self.lock.acquire(timeout=_WAIT_SECONDS):
            watch(Phase.WAITING, 0, 0)
        try:
            is_new = image not in self.volumes
            if is_new:
                self._make_volume(order, watch)
            self.last_use[image] = self.setup.clock.now()
            return is_new
        finally:
            self.lock.release()

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        # A driver that knows the space of its storage also returns it.
        return CacheContents(frozenset(each.image for each in images if each.image in self.volumes))

    def verify_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        """A driver of a real storage compares the volume with the digest that it stored with it."""
        volume = self.volumes.get(order.image)
        if volume is None:
            return OperationResult(Outcome.ABSENT)
        watch(Phase.VERIFYING, 0, len(volume))
        watch(Phase.VERIFYING, len(volume), len(volume))
        return OperationResult(Outcome.UNVERIFIABLE, "the storage keeps no digests")

    def verify_due(self, interval: timedelta, rate_now: Callable[[], int], watch: Watcher) -> ImageId | None:
        """The storage keeps no digests, so no image is due."""

    def purge_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        image = order.image
        while not self.lock.acquire(timeout=_WAIT_SECONDS):
            watch(Phase.WAITING, 0, 0)
        try:
            if image not in self.volumes:
                return OperationResult(Outcome.ABSENT)
            if self.pins.get(image) and not order.options.even_pinned:
                return OperationResult(Outcome.ERROR, "it is pinned; unpin it, or purge it with even_pinned")
            # A driver of a real storage returns IN_USE, with the disks, if there are clones of the volume.
            self.pins.pop(image, None)
            del self.last_use[image], self.volumes[image]
            return OperationResult(Outcome.PURGED)
        finally:
            self.lock.release()

    def list_cache(self) -> CacheListing:
        entries = [self._entry(image, content) for image, content in list(self.volumes.items())]
        used_bytes = sum(entry.size_bytes for entry in entries)
        return CacheListing(tuple(entries), CacheSpace(_STORAGE_BYTES, _STORAGE_BYTES - used_bytes, used_bytes))

    def _entry(self, image: ImageId, content: bytes) -> CachedEntry:
        size, pins = len(content), self.pins.get(image, ())
        return CachedEntry(entry=entry_name(image), image=image, size_bytes=size, allocated_bytes=size, pins=pins)

    def pin_image(self, image: ImageId, pin: Pin, wait: Callable[[], None]) -> None:
        while not self.lock.acquire(timeout=_WAIT_SECONDS):
            wait()
        try:
            if image not in self.volumes:
                raise ImageNotCached(image, "the storage")
            # A driver of a real storage writes this to the volume, for the time after a restart.
            self.pins[image] = add_pin(self.pins.get(image, ()), pin)
            self.last_use[image] = self.setup.clock.now()
        finally:
            self.lock.release()

    def unpin_image(self, image: ImageId, wait: Callable[[], None]) -> OperationResult:
        while not self.lock.acquire(timeout=_WAIT_SECONDS):
            wait()
        try:
            return OperationResult(Outcome.UNPINNED if self.pins.pop(image, ()) else Outcome.ABSENT)
        finally:
            self.lock.release()

    def touch_pinned(self) -> Sequence[ImageId]:
        """Only this driver removes volumes. One that others can remove returns the images that are pinned and gone."""
        return ()

    def share_cache(self) -> str:
        return ""  # each host has its own volumes

    def clean_cache(self) -> None:
        if self.setup.cleaning is None or not self.setup.cleaning.removes_unused:
            return
        now = self.setup.clock.now()
        oldest = now - self.setup.cleaning.limits.original
        with self.lock:
            unused = [image for image, used in self.last_use.items() if used <= oldest]
            for image in unused:
                if not any(pin.counts(now) for pin in self.pins.get(image, ())):
                    del self.last_use[image], self.volumes[image]

    def clean_now(self, request: CleanRequest) -> CleanResult:
        limit = timedelta(days=1) if self.setup.cleaning is None else self.setup.cleaning.limits.original
        least = timedelta() if request.everything else limit
        if request.keep_days is not None:
            least = timedelta(days=request.keep_days)
        now, removed, kept = self.setup.clock.now(), [], []
        with self.lock:
            for image, used in list(self.last_use.items()):
                is_unused = now - used >= least and image not in self.pins
                entry = CleanedEntry(image, image, len(self.volumes[image]), used, "unused" if is_unused else "needed")
                (removed if is_unused else kept).append(entry)
                if is_unused and not request.is_dry_run:
                    del self.last_use[image], self.volumes[image]
        return CleanResult("age", tuple(removed), tuple(kept))

    def _make_volume(self, order: ImageOrder, watch: Watcher) -> None:
        with tempfile.TemporaryDirectory() as directory:
            fetched = self.setup.fetcher.fetch(order, Staging(Path(directory), order.image), watch)
            # Only a complete and verified volume gets its final name.
            self.volumes[order.image] = fetched.entry.read_bytes()
