"""What surrounds a fetcher in its tests: a cache directory, an image service, and eyes on what is left behind."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import ImageFaults, MemoryImages
from precache.core.images import Digest, Image, ImageId
from precache.core.orders import DEFAULT_OPTIONS, ImageOrder, OrderOptions
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.fetcher import Fetcher
from precache.imagecache.names import entry_name
from precache.imagecache.space.disk_usage import DiskSize, disk_size
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.imagecache.staging import Staging

IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")

BY_STREAM, BY_QEMU_IMG = FetchRules(), FetchRules(decode_while_streaming=False)
"""What decodes a qcow2."""


def sha512(data: bytes) -> Digest:
    return Digest.parse("sha512", hashlib.sha512(data).hexdigest())


def record_of(data: bytes, disk_format: str | None = "raw", **changes) -> Image:
    facts = {
        "id": IMAGE,
        "name": "debian-12",
        "status": "active",
        "disk_format": disk_format,
        "size_bytes": len(data),
        "digest": sha512(data),
    }
    return Image(**(facts | changes))


def disk_with(free_bytes: int):
    """Return a disk for `World.fetch` on which so much is free."""
    return lambda _directory: DiskSize(free_bytes, free_bytes)


class World:
    """One image, one host. `fetch` returns the entry's path; `litter` what is left of a fetch."""

    def __init__(self, cache: Path) -> None:
        cache.mkdir()
        self.cache = cache
        self.clock = MemoryClock()
        self.images: MemoryImages | None = None
        self.reports: list[tuple[str, int, int]] = []

    def fetch(
        self, data: bytes, disk_format: str | None = "raw", *, faults=ImageFaults(), rules=FetchRules(), watch=None,  # noqa: B008
        options: OrderOptions = DEFAULT_OPTIONS,
        record: Image | None = None, wrap=lambda images: images, disk=disk_size, make_room=None,
        final_parts=None, **parts,
    ) -> Path:  # fmt: skip
        record = record or record_of(data, disk_format)
        self.images = MemoryImages(images={IMAGE: (record, data)}, faults={IMAGE: faults})
        fetcher = Fetcher(images=wrap(self.images), clock=self.clock, rules=rules, **parts)
        ledger = SpaceLedger(directory=self.cache, clock=self.clock, disk_size=disk)
        staging = Staging(self.cache, entry_name(IMAGE), ledger=ledger, make_room=make_room)
        fetched = fetcher.fetch(ImageOrder(IMAGE, options), staging, watch or self._note, final_parts)
        self.described, self.bytes_from, self.decoded_by = fetched.record, fetched.bytes_from, fetched.decoded_by
        return fetched.entry

    def litter(self) -> list[str]:
        files = [path.name for path in self.cache.iterdir()]
        threads = [thread.name for thread in threading.enumerate() if thread.name.endswith(IMAGE)]
        return files + threads

    def _note(self, phase, bytes_done, bytes_total) -> None:
        self.reports.append((phase, bytes_done, bytes_total))
