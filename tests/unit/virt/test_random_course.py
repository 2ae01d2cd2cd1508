"""A cache through a random course: jobs, boots, pins, cleaners, operators, kills, accidents and a clock that jumps.

After each step: nothing that is pinned, in use or in flight was removed, each entry is whole, promises are kept, and
the listing is what the directory holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import MemoryImages
from precache.core.cache_cleaning import CleanRequest
from precache.core.cache_entries import EntryState
from precache.core.errors import EntryCorrupt, ImageNotCached, Stopped
from precache.core.images import Digest, Image, parse_image_id
from precache.core.jobs import Outcome
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.core.sizes import DiskAmount
from precache.fetch.fetcher import Fetcher
from precache.imagecache.names import entry_name
from precache.ports.domain_disks import DiskFile
from precache.rules.eviction import CachePolicy, Cleaning, Watermarks
from precache.rules.expiry import ExpiryLimits
from precache.virt.libvirt import LibvirtDriver
from precache.virt.setup import HostSetup, LocalCache
from tests.unit.virt.previous_release import disk_on

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
LIMIT = DAY
PATIENCE_S = 20
KIB = 1024


def image_of(number):
    data = bytes([65 + number]) * (4 * KIB * (number + 1))
    image = parse_image_id(f"00000000-0000-0000-0000-00000000000{number + 1}")
    digest = Digest.parse("sha512", hashlib.sha512(data).hexdigest())
    return image, data, Image(image, f"image-{number}", "active", "raw", len(data), digest=digest)


MADE = [image_of(number) for number in range(4)]
IMAGES = [image for image, _, _ in MADE]
DATA = {image: data for image, data, _ in MADE}
ENTRIES = {entry_name(image): image for image in IMAGES}

images = st.sampled_from(IMAGES)
jobs = st.sampled_from(["job:1", "job:2"])


def patient():
    """Wait without a limit."""


def unwatched(*_):
    """Watch nothing."""


def impatient(*_):
    """Do not wait for what another does."""
    raise Stopped("The wait")


class Flight:
    """A fetch that another thread makes, and that waits until the test lets it end."""

    def __init__(self, host, image):
        self.image = image
        self._goes_on, self._has_begun, self._is_killed = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, args=(host,), daemon=True)
        self._thread.start()
        assert self._has_begun.wait(PATIENCE_S)

    def _run(self, host):
        try:
            host.cache_image(ImageOrder(self.image), self._watch)
        except Stopped:
            pass
        finally:
            self._has_begun.set()

    def _watch(self, *_):
        self._has_begun.set()
        assert self._goes_on.wait(PATIENCE_S)
        if self._is_killed:
            raise Stopped("The fetch")

    def end(self, *, is_killed):
        self._is_killed = is_killed
        self._goes_on.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


class Course(RuleBasedStateMachine):
    """`pins`, `guests`, `damaged` and `used_at` are what the test knows; `there` are the entries after the last step.

    found: the damaged images of which a verification knows, and that stay because a guest uses them.

    used_at: by the time since the start of the machine, which no jump of the clock changes.
    """

    cleaning: Cleaning

    def __init__(self):
        super().__init__()
        self.instances = Path(tempfile.mkdtemp())
        self.cache = self.instances / "_base"
        self.clock = MemoryClock()
        self.service = MemoryImages(images={each.id: (each, data) for _, data, each in MADE})
        self.pins, self.guests, self.damaged, self.used_at = {image: {} for image in IMAGES}, {}, set(), {}
        self.there, self.taken, self.found = set(), set(), set()
        self.flight, self.guest_number = None, 0

    def files(self):
        return [DiskFile(path, "qcow2") for path, _ in self.guests.values()]

    @initialize()
    def start(self):
        setup = HostSetup(
            host="cmp-1",
            clock=self.clock,
            fetcher=Fetcher(images=self.service, clock=self.clock),
            local_cache=LocalCache(self.instances, minimum_age=LIMIT),
            cleaning=self.cleaning,
        )
        self.driver = LibvirtDriver.build_with(setup, self)
        self.store = setup.local_cache.open(self.clock)
        self.driver.start()
        self.driver.share_cache()
        self.driver.clean_cache()  # the first pass removes nothing

    def teardown(self):
        if self.flight is not None:
            self.flight.end(is_killed=True)
        shutil.rmtree(self.instances)

    # What jobs do

    @precondition(lambda self: self.flight is None)
    @rule(image=images)
    def cache(self, image):
        try:
            is_fetched = self.driver.cache_image(ImageOrder(image), unwatched)
        except EntryCorrupt:
            assert image in self.found
            assert self.is_used(image)
            return
        assert is_fetched == (image not in self.there or image in self.found)
        if is_fetched:
            self.damaged.discard(image)
        self.use(image)

    @precondition(lambda self: self.flight is None)
    @rule(image=images)
    def begin_to_fetch(self, image):
        if image not in self.there:
            self.flight = Flight(self.driver, image)

    @precondition(lambda self: self.flight is not None)
    @rule(is_killed=st.booleans())
    def end_the_fetch(self, is_killed):
        flight, self.flight = self.flight, None
        flight.end(is_killed=is_killed)
        self.use(flight.image)

    @rule(image=images, by=jobs, hours=st.none() | st.integers(1, 100))
    def pin(self, image, by, hours):
        until = None if hours is None else self.clock.now() + hours * HOUR
        try:
            self.driver.pin_image(image, Pin(by, until), impatient)
        except EntryCorrupt:
            assert image in self.found
            assert self.is_used(image)
        except ImageNotCached:
            if image in self.there:
                assert image in self.found
                self.taken.add(image)
        except Stopped:
            assert self.flight.image == image
        else:
            self.pins[image][by] = until
            self.use(image)

    @rule(image=images)
    def unpin(self, image):
        try:
            self.driver.unpin_image(image, impatient)
        except Stopped:
            assert self.flight.image == image
        else:
            self.pins[image].clear()

    @rule(image=images, even_pinned=st.booleans())
    def purge(self, image, even_pinned):
        is_pinned, is_used = self.is_pinned(image), self.is_used(image)
        try:
            result = self.driver.purge_image(ImageOrder(image, OrderOptions(even_pinned=even_pinned)), impatient)
        except Stopped:
            assert self.flight.image == image
            return
        if result.outcome is Outcome.PURGED:
            assert not is_used
            assert even_pinned or not is_pinned
            self.pins[image].clear()
        elif result.outcome is Outcome.IN_USE:
            assert is_used
        elif result.outcome is Outcome.ABSENT:
            assert image not in self.there
            self.pins[image].clear()

    @rule(image=images)
    def verify(self, image):
        is_used = self.is_used(image)
        is_in_flight = self.flight is not None and self.flight.image == image
        try:
            outcome = self.driver.verify_image(ImageOrder(image), impatient if is_in_flight else unwatched).outcome
        except Stopped:
            assert is_in_flight
            return
        if image not in self.there:
            has_corrupt_copy = any(self.cache.glob(f"{entry_name(image)}.corrupt-*"))
            assert outcome is (Outcome.CORRUPT if has_corrupt_copy else Outcome.ABSENT)
        elif image in self.damaged:
            assert outcome is Outcome.CORRUPT
            if is_used:
                self.found.add(image)
            else:
                self.taken.add(image)  # another name, to be fetched again if it is pinned
        else:
            assert outcome is Outcome.INTACT

    # What the host does by itself

    @rule()
    def clean(self):
        self.driver.clean_cache()
        gone = self.there - self.present()
        assert not [image for image in gone if self.clock.uptime() - self.used_at[image] < LIMIT and self.is_by_age]
        for _, image in self.guests.values():
            self.use(image)

    @rule(everything=st.booleans())
    def clean_by_hand(self, everything):
        before = self.present()
        planned = self.driver.clean_now(CleanRequest(is_dry_run=True, everything=everything))
        assert self.present() == before
        done = self.driver.clean_now(CleanRequest(everything=everything))
        assert {each.entry for each in done.removed} == {each.entry for each in planned.removed}

    @rule()
    def touch_and_restore(self):
        lost = set(self.driver.touch_pinned())
        in_flight = {self.flight.image} if self.flight else set()
        assert lost >= {image for image in IMAGES if self.is_pinned(image)} - self.present() - in_flight
        for image in sorted(lost):
            self.driver.cache_image(ImageOrder(image), unwatched)
            self.use(image)

    @rule()
    def announce(self):
        self.driver.share_cache()

    @precondition(lambda self: self.flight is None)
    @rule(image=images)
    def be_killed_and_start_again(self, image):
        """Leave what a killed process leaves: temporary files, and a record whose entry was not published yet."""
        (self.cache / f"{entry_name(image)}.precache-0a1b2c3d-download").write_bytes(b"half")
        self.start()
        assert not list(self.cache.glob("*.precache-0a1b2c3d-*"))

    # What guests, operators and accidents do

    @rule(image=images)
    def boot(self, image):
        if image not in self.there:
            return
        self.guest_number += 1
        path = self.instances / f"instance-{self.guest_number}" / "disk"
        path.parent.mkdir()
        path.write_bytes(disk_on(self.cache / entry_name(image)))
        now = self.clock.now().timestamp()
        os.utime(self.cache / entry_name(image), (now, now))
        self.guests[self.guest_number] = (path, image)
        self.use(image)

    @precondition(lambda self: self.guests)
    @rule(data=st.data())
    def delete_a_guest(self, data):
        number = data.draw(st.sampled_from(sorted(self.guests)))
        path, _ = self.guests.pop(number)
        shutil.rmtree(path.parent)

    @rule(image=images)
    def lose_by_hand(self, image):
        if image in self.there and not self.is_used(image):
            (self.cache / entry_name(image)).unlink()
            self.taken.add(image)

    @rule(image=images, place=st.integers(0, 4 * KIB - 1))
    def be_damaged(self, image, place):
        path = self.cache / entry_name(image)
        if image in self.there and image not in self.damaged:
            times = path.stat()
            with path.open("r+b") as file:
                file.seek(place)
                file.write(b"\0")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            self.damaged.add(image)

    @rule(name=st.sampled_from(["notes.txt", "a" * 40 + ".tmp", "lost+found", "x" * 39]))
    def put_a_foreign_file(self, name):
        (self.cache / name).write_bytes(b"foreign")

    @rule(hours=st.integers(1, 30))
    def pass_time(self, hours):
        self.clock.advance(hours * HOUR)

    @rule(years=st.sampled_from([-1, 1]))
    def jump_the_clock(self, years):
        self.clock.jump(years * YEAR)

    # What always holds

    @invariant()
    def nothing_was_removed_that_must_stay(self):
        if not self.cache.exists():
            return
        present = self.present()
        for image in self.there - present - self.taken:
            assert not self.is_pinned(image), image
            assert not self.is_used(image), image
        for image in IMAGES:
            assert image not in self.there or not self.is_used(image) or image in present
        self.damaged &= present
        self.found &= self.damaged
        self.there, self.taken = present, set()

    @invariant()
    def each_entry_is_whole(self):
        for image in self.present() - self.damaged:
            assert (self.cache / entry_name(image)).read_bytes() == DATA[image]

    @invariant()
    def no_more_is_promised_than_is_free(self):
        if self.cache.exists():
            space = self.store.space()
            assert space.promised_bytes <= space.free_bytes
            assert self.flight is not None or space.promised_bytes == 0

    @invariant()
    def the_listing_is_what_the_directory_holds(self):
        if self.cache.exists():
            listed = {each.entry: each.state for each in self.driver.list_cache().entries}
            there = {ENTRIES[entry] for entry, state in listed.items() if state is EntryState.PRESENT}
            assert there == self.present()

    @property
    def is_by_age(self):
        return self.cleaning.policy is CachePolicy.AGE

    def present(self):
        return {image for image in IMAGES if (self.cache / entry_name(image)).is_file()}

    def is_pinned(self, image):
        return any(until is None or self.clock.now() < until for until in self.pins[image].values())

    def is_used(self, image):
        return any(each == image for _, each in self.guests.values())

    def use(self, image):
        self.used_at[image] = self.clock.uptime()


CLEANINGS = {
    "age": Cleaning(ExpiryLimits(original=LIMIT, resized=LIMIT)),
    "lru": Cleaning(
        ExpiryLimits(original=LIMIT, resized=LIMIT),
        policy=CachePolicy.LRU,
        watermarks=Watermarks(above_used=DiskAmount(24 * KIB), to_used=DiskAmount(12 * KIB)),
    ),
    "popularity": Cleaning(
        ExpiryLimits(original=LIMIT, resized=LIMIT),
        policy=CachePolicy.POPULARITY,
        watermarks=Watermarks(above_used=DiskAmount(24 * KIB), to_used=DiskAmount(12 * KIB)),
    ),
}
COURSES = [
    pytest.param(8, 40, id="few"),
    pytest.param(60, 60, id="many", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
]


@pytest.mark.parametrize("cleaning", CLEANINGS.values(), ids=CLEANINGS)
@pytest.mark.parametrize(("courses", "steps"), COURSES)
def test_whatever_happens_to_a_cache_what_must_stay_stays(cleaning, courses, steps):
    course = type("CourseOfPolicy", (Course,), {"cleaning": cleaning})

    run_state_machine_as_test(course, settings=settings(max_examples=courses, stateful_step_count=steps))
