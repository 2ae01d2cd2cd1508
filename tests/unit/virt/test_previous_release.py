"""A cache that the previous release has filled is used as it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import MemoryImages
from precache.core.cache_contents import ImageSize
from precache.core.cache_entries import EntryState, Verification
from precache.core.jobs import Outcome, Phase
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.fetch.fetcher import Fetcher
from precache.imagecache.cache import ImageCache
from precache.ports.domain_disks import DiskFile
from precache.rules.expiry import ExpiryLimits
from precache.virt.libvirt import LibvirtDriver
from precache.virt.setup import Cleaning, HostSetup, LocalCache
from tests.unit.virt import previous_release as previous
from tests.unit.virt.previous_release import KEPT, KEPT_UNTIL, OVER, PAUSED, WEB

DAY = timedelta(days=1)


class NoDomains:
    """The port `DomainDisks` of a libvirt without guests."""

    def files(self) -> list[DiskFile]:
        return []


class World:
    """A host after its upgrade, half a day after the previous release had filled its cache."""

    def __init__(self, instances: Path, *, owner: str) -> None:
        previous.fill(instances)
        self.instances = instances
        self.clock = MemoryClock(start=previous.CACHED_AT + DAY / 2)
        self.images = MemoryImages(images={PAUSED: (previous.PAUSED_IMAGE, previous.PAUSED_DATA)})
        setup = HostSetup(
            host="cmp-1",
            clock=self.clock,
            fetcher=Fetcher(images=self.images, clock=self.clock),
            local_cache=LocalCache(instances),
            cleaning=Cleaning(limits=ExpiryLimits(original=DAY, resized=DAY / 24)) if owner == "precache" else None,
        )
        self.driver = LibvirtDriver.build_with(setup, NoDomains())
        self.cache: ImageCache = setup.local_cache.open(self.clock)
        self.driver.start()

    def pins_of(self, image: previous.ImageId) -> tuple[Pin, ...]:
        record = self.cache.records.read(previous.ENTRY[image])
        return record.pins if record else ()

    def holds(self, *images: previous.ImageId) -> list[bool]:
        held = self.driver.describe_cache([ImageSize(image) for image in images]).held
        return [image in held for image in images]

    def cache_image(self, image: previous.ImageId) -> bool:
        return self.driver.cache_image(ImageOrder(image), unwatched)


def unwatched(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Watch nothing."""


def patient() -> None:
    """Wait for a lock without a limit."""


@pytest.fixture(params=["nova", "precache"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, owner=request.param)


def test_a_start_removes_what_a_killed_process_left_and_nothing_else(world: World) -> None:
    assert previous.contents(world.instances) == previous.FILES


def test_entries_with_and_without_a_record_are_used(world: World) -> None:
    assert [world.cache_image(image) for image in (WEB, KEPT, OVER)] == [False] * 3

    assert world.holds(WEB, KEPT, OVER, PAUSED) == [True, True, True, False]
    assert world.images.requests == []
    assert previous.contents(world.instances) == previous.FILES


def test_a_paused_download_goes_on_where_it_was(world: World) -> None:
    assert world.cache.kept.bytes_of(PAUSED) == previous.PAUSED_BYTES

    assert world.cache_image(PAUSED)

    assert world.images.requests == [(PAUSED, previous.PAUSED_BYTES)]
    assert world.cache.path_of(PAUSED).read_bytes() == previous.PAUSED_DATA


def test_a_paused_download_goes_with_its_job(world: World) -> None:
    world.cache.kept.remove_of_job(previous.PAUSED_JOB)

    assert world.cache.kept.bytes_of(PAUSED) == 0
    assert not [name for name in previous.contents(world.instances) if "-kept-" in name]


def test_what_was_kept_for_a_time_is_pinned_until_then(world: World) -> None:
    assert world.pins_of(KEPT) == (Pin("", KEPT_UNTIL),)

    assert list(world.driver.touch_pinned()) == []
    assert world.cache.path_of(KEPT).stat().st_mtime == world.clock.now().timestamp()
    assert world.driver.unpin_image(KEPT, patient).outcome is Outcome.UNPINNED
    assert world.pins_of(KEPT) == ()


@pytest.mark.parametrize("image", [WEB, KEPT])
def test_pins_of_this_release_are_added(world: World, image: previous.ImageId) -> None:
    earlier = world.pins_of(image)

    world.driver.pin_image(image, Pin("job:1"), patient)

    assert world.pins_of(image) == (*earlier, Pin("job:1"))


def test_all_entries_are_listed_with_what_is_known_of_them(world: World) -> None:
    listed = {entry.entry: entry for entry in world.driver.list_cache().entries}

    assert {entry: (found.image, found.pins) for entry, found in listed.items()} == {
        previous.ENTRY[WEB]: (None, ()),  # without a record it is not known of which image it is
        previous.ENTRY[KEPT]: (KEPT, (Pin("", KEPT_UNTIL),)),
        previous.ENTRY[OVER]: (OVER, (Pin("", previous.CACHED_AT + DAY),)),
    }
    for found in listed.values():
        assert (found.state, found.verification) == (EntryState.PRESENT, Verification.UNVERIFIABLE)
        assert (found.last_used, found.cached_at, found.digest) == (previous.CACHED_AT, None, "")


@pytest.mark.parametrize("image", [WEB, KEPT])
def test_an_entry_is_read_once_and_can_be_verified_from_then_on(world: World, image: previous.ImageId) -> None:
    pins, path = world.pins_of(image), world.cache.path_of(image)

    first, second = (world.driver.verify_image(ImageOrder(image), unwatched).outcome for _ in range(2))
    path.write_bytes(path.read_bytes()[::-1])
    third = world.driver.verify_image(ImageOrder(image), unwatched).outcome

    assert (first, second, third) == (Outcome.UNVERIFIABLE, Outcome.INTACT, Outcome.CORRUPT)
    assert world.pins_of(image) == pins


def test_an_entry_is_purged_unless_it_is_pinned_or_in_use(world: World) -> None:
    def purge(image: previous.ImageId, *, even_pinned: bool = False) -> tuple[Outcome, str]:
        order = ImageOrder(image, OrderOptions(even_pinned=even_pinned))
        result = world.driver.purge_image(order, unwatched)
        return result.outcome, result.reason

    assert purge(WEB) == (Outcome.PURGED, "")
    assert purge(KEPT)[0] is Outcome.ERROR
    assert "by a job of an earlier release until 2026-03-01" in purge(KEPT)[1]
    assert purge(KEPT, even_pinned=True) == (Outcome.PURGED, "")
    assert purge(OVER, even_pinned=True) == (Outcome.IN_USE, f"in use by 1 disk: {world.instances / previous.GUEST}")
    assert purge(PAUSED)[0] is Outcome.ABSENT
    assert world.cache.kept.bytes_of(PAUSED) == 0
    assert [image for image in previous.ENTRY if world.cache.holds(image)] == [OVER]


def test_a_pass_of_the_cleaner_removes_what_has_expired_alone(tmp_path: Path) -> None:
    world = World(tmp_path, owner="precache")

    world.clock.advance(30 * DAY)
    world.driver.share_cache()
    world.driver.clean_cache()
    world.driver.clean_cache()  # the first pass after a start removes nothing
    assert world.holds(WEB, KEPT, OVER) == [False, True, True]

    (tmp_path / previous.GUEST).unlink()
    world.driver.unpin_image(OVER, patient)
    world.clock.advance(2 * DAY)
    world.driver.clean_cache()
    assert world.holds(WEB, KEPT, OVER) == [False, True, False]
    assert list((tmp_path / "_base").glob(f"{previous.ENTRY[OVER]}*")) == []
