"""The comparison of cached images with the image service: when an image is gone, and when nothing is said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.cache_inventory_memory import MemoryCacheInventory
from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import MemoryImages
from precache.adapters.notices_memory import MemoryDuties
from precache.background.cancel_token import CancelToken
from precache.conductor.check_images import CheckImages
from precache.conductor.held_duty import HeldDuty
from precache.core.cache_entries import CachedEntry, CacheReport, entry_name
from precache.core.errors import ImageNotAuthorized, ImageServiceUnavailable, Stopped
from precache.core.hosts import Host
from precache.core.image_list import ImageList
from precache.core.images import Image, parse_image_id
from precache.core.stopping import StopReason

INTERVAL, LEASE = timedelta(minutes=10), timedelta(minutes=20)
KEPT, LOST, NAMELESS = (parse_image_id(digit * 32) for digit in "123")


class Service:
    """An image service; tests take images away, and make calls fail."""

    def __init__(self):
        self.images = {image: Image(image, f"image-{image[0]}", "active", "raw", 1) for image in (KEPT, LOST, NAMELESS)}
        self.unlisted, self.doubt, self.failure, self.show_failure = set(), "", None, None
        self.lists, self.shown = 0, []

    def list_images(self, *, stop=None):
        self.lists += 1
        stop.check("Listing")
        if self.failure:
            raise self.failure
        found = MemoryImages(images={image: (record, b"") for image, record in self.images.items()}).list_images()
        return ImageList(
            {image: each for image, each in found.images.items() if image not in self.unlisted}, self.doubt
        )

    def show(self, image):
        self.shown.append(image)
        if self.show_failure:
            raise self.show_failure
        return MemoryImages(images={each: (record, b"") for each, record in self.images.items()}).show(image)


class World:
    def __init__(self):
        self.clock, self.stop, self.service = MemoryClock(), CancelToken(), Service()
        self.duties = MemoryDuties(now=self.clock.now)
        self.caches = MemoryCacheInventory(clock=self.clock, find_host=lambda name: Host(name, "cell1"))

    def report(self, *images, sequence=1):
        images = images or (KEPT, LOST)
        entries = [CachedEntry(entry=entry_name(image), image=image, image_name="as cached") for image in images]
        entries.append(CachedEntry(entry=entry_name(NAMELESS)))
        at = datetime(2026, 1, 1, tzinfo=UTC)
        report = CacheReport(
            host="cmp-1",
            cell="cell1",
            boot_id="b",
            sequence=sequence,
            base=sequence,
            at=at,
            space=None,
            entries=tuple(entries),
        )
        self.caches.store_reports([report])

    def check(self, owner="one"):
        duty = HeldDuty(
            duties=self.duties,
            name="images",
            owner=owner,
            lease=LEASE,
            monotonic=lambda: self.clock.now().timestamp(),
        )
        return CheckImages(
            duty=duty,
            statuses=self.caches,
            images=self.service,
            stop=self.stop,
            interval=INTERVAL,
            monotonic=lambda: self.clock.now().timestamp(),
        )

    def statuses(self):
        entries = {entry_name(image): image for image in (KEPT, LOST, NAMELESS)}
        return {entries[each.entry]: each.status for each in self.caches.list_images()}


@pytest.fixture
def world():
    world = World()
    world.report()
    return world


def test_images_of_the_service_get_their_status_name_and_id(world):
    world.service.images[LOST] = replace(world.service.images[LOST], status="deactivated")

    world.check()()

    assert world.statuses() == {KEPT: "active", LOST: "deactivated", NAMELESS: "active"}
    found = {each.entry: (each.image, each.name) for each in world.caches.list_images()}
    assert found[entry_name(NAMELESS)] == (NAMELESS, "image-3")
    assert found[entry_name(KEPT)] == (KEPT, "image-1")
    assert world.service.shown == []


def test_images_that_left_the_service_are_gone_and_are_asked_for_once(world, caplog):
    caplog.set_level("INFO")
    check = world.check()
    check()
    del world.service.images[LOST], world.service.images[NAMELESS]

    world.clock.advance(INTERVAL)
    check()
    world.clock.advance(INTERVAL)
    check()

    assert world.statuses() == {KEPT: "active", LOST: "gone", NAMELESS: "gone"}
    assert sorted(world.service.shown) == [LOST, NAMELESS]
    assert caplog.text.count("2 cached images left the image service") == 1


def test_an_image_that_was_hidden_while_the_list_was_read_is_not_gone(world):
    world.service.unlisted = {LOST}

    world.check()()

    assert world.statuses()[LOST] == "active"


@pytest.mark.parametrize("failure", [ImageServiceUnavailable("glance", "HTTP status 500"), ImageNotAuthorized("list")])
def test_a_list_that_fails_changes_nothing(world, failure, caplog):
    check = world.check()
    check()
    before = world.caches.list_images()
    world.service.failure, world.service.images = failure, {}
    world.clock.advance(INTERVAL)

    check()
    check()

    assert world.caches.list_images() == before
    assert world.service.lists == 2
    assert caplog.text.count(f"stays as it is for now: {failure}") == 1


@pytest.mark.parametrize("failure", [ImageServiceUnavailable("glance", "HTTP status 500"), ImageNotAuthorized("list")])
def test_an_image_is_not_gone_if_the_request_for_it_fails(world, failure):
    check = world.check()
    check()
    del world.service.images[LOST]
    world.service.show_failure = failure
    world.clock.advance(INTERVAL)

    check()

    assert world.statuses()[LOST] == "active"


def test_an_image_that_a_list_in_doubt_lacks_is_unknown_and_the_doubt_is_said_once(world, caplog):
    del world.service.images[LOST]
    world.service.doubt = "the user is no administrator"
    check = world.check()

    check()
    world.clock.advance(INTERVAL)
    check()

    assert world.statuses() == {KEPT: "active", LOST: "unknown", NAMELESS: "active"}
    assert caplog.text.count("because the user is no administrator") == 1


def test_between_two_lists_only_images_that_are_new_are_asked_for(world):
    check = world.check()
    check()
    new = parse_image_id("4" * 32)
    world.service.images[new] = Image(new, "new", "active", "raw", 1)
    gone = parse_image_id("5" * 32)
    world.report(KEPT, LOST, new, gone, sequence=2)
    del world.service.images[KEPT]

    world.clock.advance(INTERVAL / 2)
    check()

    assert world.service.lists == 1
    assert sorted(world.service.shown) == [new, gone]
    found = {each.image: each.status for each in world.caches.list_images()}
    assert (found[KEPT], found[new], found[gone]) == ("active", "active", None)
    world.clock.advance(INTERVAL / 2)
    check()
    found = {each.image: each.status for each in world.caches.list_images()}
    assert (found[KEPT], found[new], found[gone]) == ("gone", "active", "gone")


@pytest.mark.parametrize("failure", [ImageServiceUnavailable("glance", "HTTP status 500"), ImageNotAuthorized("list")])
def test_a_new_image_whose_request_fails_waits_for_the_next_list(world, failure):
    check = world.check()
    check()
    new = parse_image_id("4" * 32)
    world.report(KEPT, LOST, new, sequence=2)
    world.service.show_failure = failure

    check()

    assert {each.image: each.status for each in world.caches.list_images()}[new] is None


def test_one_conductor_asks_and_the_next_one_after_its_end(world):
    first, second = world.check("one"), world.check("two")
    first()
    second()
    assert world.service.lists == 1

    world.clock.advance(LEASE)
    second()

    assert world.service.lists == 2


def test_without_cached_images_nothing_is_asked():
    world = World()

    world.check()()

    assert world.service.lists == 0


def test_a_conductor_that_stops_ends_the_pass(world):
    world.stop.cancel(StopReason.SHUTDOWN)

    with pytest.raises(Stopped):
        world.check()()

    assert set(world.statuses().values()) == {None}
