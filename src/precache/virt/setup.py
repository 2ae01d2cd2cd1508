"""What a virt driver is built from, the same for every driver, ours or a third party's.

A driver is a class named by an entry point of the group `precache.virt`; it is built by its `build`. A driver outside
this project needs this module, `ports/virt_driver.py` and `core/errors`, nothing else of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from precache.imagecache.cache import ImageCache
from precache.imagecache.staging import EntryFetcher
from precache.ports.clock import Clock
from precache.ports.virt_driver import VirtDriver
from precache.rules.expiry import ExpiryLimits

ENTRY_POINTS = "precache.virt"

DEFAULT_LIBVIRT_URI = "qemu:///system"

_LOCKS = "locks"  # Nova's name; not configurable there either


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How expired entries are removed. removes_unused: False to look after what is in use but remove nothing."""

    limits: ExpiryLimits
    removes_unused: bool = True


@dataclass(frozen=True, slots=True)
class HostSetup:
    """One compute host, as configured.

    instances_path, subdirectory: where instances are, and the cache below it; nova-compute's own where one runs.
    images_type, libvirt_uri: Nova's `[libvirt] images_type` and `connection_uri`.
    cleaning: None where another, such as nova-compute, owns the cache and removes what has expired.
    options: the driver's own, by name, as text; a driver ignores names that it does not know.
    """

    host: str
    instances_path: Path
    fetcher: EntryFetcher
    clock: Clock
    subdirectory: str = "_base"
    images_type: str = "default"
    libvirt_uri: str = DEFAULT_LIBVIRT_URI
    cleaning: Cleaning | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def image_cache(self) -> ImageCache:
        """Build the host's image cache; any number of them on one directory exclude each other."""
        return ImageCache(
            directory=self.instances_path / self.subdirectory,
            locks_directory=self.instances_path / _LOCKS,
            clock=self.clock,
        )


class DriverFactory(Protocol):
    """What an entry point names."""

    def build(self, setup: HostSetup) -> VirtDriver:
        """Build the driver; no I/O before its `start`. Raises InvalidConfiguration for an option it cannot take."""
        ...
