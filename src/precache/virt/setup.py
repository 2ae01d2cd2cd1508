"""What a virt driver is built from, the same for every driver, also for one of another project (docs/virt-drivers.md).

A driver is a class named by an entry point of the group `precache.virt`; it is built by its `build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from precache.core.sizes import NOTHING, DiskAmount
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.cache import ImageCache
from precache.imagecache.keep_limits import KeepLimits
from precache.imagecache.staging import EntryFetcher
from precache.ports.clock import Clock
from precache.ports.virt_driver import VirtDriver
from precache.rules.eviction import Cleaning as Cleaning
from precache.rules.expiry import ExpiryLimits

ENTRY_POINTS = "precache.virt"

_LOCKS = "locks"  # Nova's name; not configurable there either
_PINS = "precache-pins"
"""The directory beside the cache with the copies of the pins. Nova ignores it."""


@dataclass(frozen=True, slots=True)
class LocalCache:
    """The image cache as a directory on this host; nova-compute's own where one runs.

    instances_path, subdirectory: where instances are, and the cache below it. keep_limits: of paused downloads.
    minimum_age, resized_minimum_age: of an unused image or resized copy, before the owner of the cache removes it.
    reserve: of the disk, for running guests. low_mark: that what is free must not pass when an image is fetched.
    """

    instances_path: Path
    subdirectory: str = "_base"
    keep_limits: KeepLimits = field(default_factory=KeepLimits)
    minimum_age: timedelta = timedelta(days=1)
    reserve: DiskAmount = NOTHING
    resized_minimum_age: timedelta = timedelta(hours=1)
    low_mark: DiskAmount = NOTHING
    _opened: dict[Clock, ImageCache] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def expiry_limits(self) -> ExpiryLimits:
        return ExpiryLimits(self.minimum_age, self.resized_minimum_age)

    def open(self, clock: Clock) -> ImageCache:
        """Return the image cache, the same for each call with the clock: its alarms are those of the host.

        Other objects on the directory, also of other processes, and this one exclude each other.
        """
        cache = self._opened.get(clock)
        if cache is None:
            cache = self._opened[clock] = ImageCache(
                directory=self.instances_path / self.subdirectory,
                locks_directory=self.instances_path / _LOCKS,
                clock=clock,
                keep_limits=self.keep_limits,
                reserve=self.reserve,
                low_mark=self.low_mark,
                pins_directory=self.instances_path / _PINS,
            )
        return cache


@dataclass(frozen=True, slots=True)
class HostSetup:
    """One compute host, as configured: what every driver is given.

    fetcher: brings verified images to this host.
    local_cache: for a driver that keeps images as files on this host; others ignore it.
    cleaning: None where another, such as nova-compute, owns the cache and removes what has expired.
    options: the driver's own, by name, as text; a driver ignores names that it does not know.
    rates: the limits that the driver's reading of images follows; the fetcher has them, too.
    """

    host: str
    clock: Clock
    fetcher: EntryFetcher
    local_cache: LocalCache
    cleaning: Cleaning | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    rates: RateLimits = field(default_factory=RateLimits)


class DriverFactory(Protocol):
    """What an entry point names."""

    def build(self, setup: HostSetup) -> VirtDriver:
        """Build the driver; no I/O before its `start`. Raises InvalidConfiguration for an option it cannot take."""
        ...
