"""The fake driver's options; its behaviour is in the contract suite."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import InvalidConfiguration, Stopped
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.imagecache.staging import Fetched, Staging
from precache.ports.progress import Watcher
from precache.virt.fake import FakeDriver
from precache.virt.setup import HostSetup, LocalCache

IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")


class Nothing:
    """The port `EntryFetcher`, never asked."""

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        raise AssertionError("the fake driver fetches nothing")


def nobody(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Watch nothing."""


def build(clock: MemoryClock, **options: str) -> FakeDriver:
    cache = LocalCache(Path("/nowhere"))
    setup = HostSetup(host="host1", local_cache=cache, fetcher=Nothing(), clock=clock, options=options)
    return FakeDriver.build(setup)


def test_a_fetch_takes_the_configured_time_and_a_found_image_none() -> None:
    clock = MemoryClock()
    driver = build(clock, delay_seconds="90")
    before = clock.now()

    driver.cache_image(ImageOrder(IMAGE), nobody)
    driver.cache_image(ImageOrder(IMAGE), nobody)

    assert clock.now() - before == timedelta(seconds=90)


class Stops:
    """A watcher that stops the fetch as soon as a byte has come in."""

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        if bytes_done:
            raise Stopped("The fetch", StopReason.CANCELLED)


def test_a_fetch_of_hours_notices_a_stop_at_once_and_leaves_no_entry() -> None:
    clock = MemoryClock()
    driver = build(clock, delay_seconds="7200")
    before = clock.now()

    with pytest.raises(Stopped):
        driver.cache_image(ImageOrder(IMAGE), Stops())

    assert clock.now() - before <= timedelta(seconds=0.2)
    assert driver.cache_image(ImageOrder(IMAGE), nobody)


@pytest.mark.parametrize("options", [{"delay_seconds": "soon"}, {"size_bytes": "1 GiB"}])
def test_an_option_that_is_no_number_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidConfiguration, match="driver fake"):
        build(MemoryClock(), **options)


def test_options_of_other_drivers_are_ignored() -> None:
    assert build(MemoryClock(), colour="red").cache_image(ImageOrder(IMAGE), nobody)
