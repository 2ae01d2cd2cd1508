"""Drivers are found by name, as a third party's would be."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import ImageId
from precache.core.orders import ImageOrder
from precache.imagecache.staging import Fetched, Staging
from precache.ports.progress import Watcher
from precache.ports.virt_driver import VirtDriver
from precache.virt.setup import ENTRY_POINTS, DriverFactory, HostSetup, LocalCache


class Nothing:
    """The port `EntryFetcher`, never asked."""

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        raise AssertionError("nothing is fetched here")


def build(name: str, root: Path) -> VirtDriver:
    (entry_point,) = entry_points(group=ENTRY_POINTS, name=name)
    factory: DriverFactory = entry_point.load()
    return factory.build(HostSetup(host="host1", local_cache=LocalCache(root), fetcher=Nothing(), clock=MemoryClock()))


@pytest.mark.parametrize("name", ["libvirt", "fake", "uncached"])
def test_every_driver_is_built_in_the_same_way_and_has_its_name(name: str, tmp_path: Path) -> None:
    assert build(name, tmp_path).name == name


def test_a_hypervisor_without_a_cache_says_why_it_does_not_cache(tmp_path: Path) -> None:
    driver = build("uncached", tmp_path)
    driver.start()
    driver.clean_cache()

    with pytest.raises(NotImplementedError, match="keeps no image cache"):
        driver.cache_image(ImageOrder(ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")), lambda *_: None)
