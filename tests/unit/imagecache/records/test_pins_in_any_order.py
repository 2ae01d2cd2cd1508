"""Pins through any course of events: what is pinned stays in the cache, or is reported as gone.

The truth is the uptime. The clock of the host may jump for less than an hour, and the compute may be killed meanwhile.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import ImageId
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.names import entry_name, record_name
from precache.imagecache.records.pin_keeper import LONGEST_DOUBT, PinKeeper
from tests.unit.imagecache.cleaning.test_cleaner import LIMITS, cleaner_of, put
from tests.unit.imagecache.cleaning.test_entry_removal import removal_of

IMAGES = [ImageId(f"00000000-0000-4000-8000-00000000000{number}") for number in range(2)]
IMAGE = st.sampled_from(IMAGES)
STEP = timedelta(minutes=10)
LONGEST_JUMP = LONGEST_DOUBT - 2 * STEP


class SetClock(MemoryClock):
    """A clock that is wrong by `error`."""

    def __init__(self) -> None:
        super().__init__()
        self.error = timedelta()

    def now(self) -> datetime:
        return super().now() + self.error


class Pins(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.clock = SetClock()
        self.pins: dict[ImageId, dict[str, datetime | None]] = {image: {} for image in IMAGES}
        self.present: set[ImageId] = set()
        self.start()

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule()
    def start(self) -> None:
        """Start the compute, maybe after a kill."""
        self.cache = ImageCache(
            directory=self.root / "_base",
            locks_directory=self.root / "locks",
            clock=self.clock,
            pins_directory=self.root / "precache-pins",
        )
        self.cache.start()
        self.keeper = PinKeeper(
            cache=self.cache,
            clock=self.clock,
            host="cmp-07",
            limit=LIMITS.original,
            monotonic=lambda: self.truth.timestamp(),
        )
        self.cleaner = cleaner_of(self.cache, self.clock)

    @initialize(hours=st.integers(1, 100))
    def cache_and_pin_both(self, hours: int) -> None:
        for image, until in zip(IMAGES, (hours, None), strict=True):
            self.cache_and_pin(image, "1", until)

    @property
    def truth(self) -> datetime:
        return self.clock.now() - self.clock.error

    def is_pinned(self, image: ImageId) -> bool:
        return any(until is None or self.truth < until for until in self.pins[image].values())

    @rule(image=IMAGE)
    def fetch(self, image: ImageId) -> None:
        put(self.cache, entry_name(image), self.clock)
        self.present.add(image)

    @rule(image=IMAGE, job=st.sampled_from(["1", "2"]), hours=st.none() | st.integers(0, 100))
    def cache_and_pin(self, image: ImageId, job: str, hours: int | None) -> None:
        if image not in self.present:
            self.fetch(image)
        until = None if hours is None else self.clock.now() + timedelta(hours=hours)
        self.keeper.pin(image, Pin(f"job:{job}", until), lambda: None)
        self.pins[image][job] = until

    @rule(image=IMAGE)
    def unpin(self, image: ImageId) -> None:
        self.keeper.unpin(image, lambda: None)
        self.pins[image] = {}

    @rule(steps=st.integers(1, 60))
    def pass_time(self, steps: int) -> None:
        """Make the passes of the compute over pinned entries, and those of the cleaner."""
        for step in range(steps):
            self.clock.advance(STEP)
            self.keeper.touch()
            for image in self.present:
                age = self.clock.now().timestamp() - (self.cache.directory / entry_name(image)).stat().st_mtime
                assert not self.is_pinned(image) or age == 0
            if step % 4 == 0:
                self.note_removed(self.cleaner.clean())

    @rule(days=st.sampled_from([-400, 400]), steps=st.integers(0, LONGEST_JUMP // STEP), restarts=st.booleans())
    def jump_and_be_set_right(self, days: int, steps: int, restarts: bool) -> None:
        self.clock.error = timedelta(days=days)
        if restarts:
            self.start()
        self.pass_time(steps + 1)
        for image in IMAGES:
            self.evict_or_purge(image)
        self.clock.error = timedelta()
        self.keeper.touch()

    @rule(image=IMAGE)
    def remove_by_hand(self, image: ImageId) -> None:
        (self.cache.directory / entry_name(image)).unlink(missing_ok=True)
        self.present.discard(image)

    @rule()
    def empty_the_cache(self) -> None:
        shutil.rmtree(self.cache.directory)
        self.cache.directory.mkdir()
        self.present.clear()

    @rule(image=IMAGE, directory=st.sampled_from(["_base", "precache-pins"]), text=st.sampled_from([b"", b"{}"]))
    def damage(self, image: ImageId, directory: str, text: bytes) -> None:
        """Damage one of the two files; the next pass repairs it."""
        file = self.root / directory / record_name(entry_name(image))
        self.keeper.touch()
        if file.exists():
            file.write_bytes(text)
            self.keeper.touch()

    @rule(image=IMAGE)
    def evict_or_purge(self, image: ImageId) -> None:
        if removal_of(self.cache, self.clock).remove(entry_name(image), "a test").is_removed:
            self.note_removed([entry_name(image)])

    @rule(image=IMAGE)
    def purge_even_pinned(self, image: ImageId) -> None:
        if removal_of(self.cache, self.clock).remove(entry_name(image), "a test", even_pinned=True).is_removed:
            self.present.discard(image)
            self.pins[image] = {}

    def note_removed(self, entries: list[str]) -> None:
        for image in IMAGES:
            if entry_name(image) in entries:
                assert not self.is_pinned(image)
                self.present.discard(image)
                self.pins[image] = {}

    @invariant()
    def what_is_pinned_is_there_or_reported_as_gone(self) -> None:
        missing = self.keeper.touch()
        for image in IMAGES:
            assert (self.cache.directory / entry_name(image)).exists() == (image in self.present)
            if self.is_pinned(image):
                assert (image in missing) == (image not in self.present)

    @invariant()
    def no_time_is_in_the_future(self) -> None:
        for image in self.present:
            if self.is_pinned(image):
                assert (self.cache.directory / entry_name(image)).stat().st_mtime <= self.clock.now().timestamp()


TestPins = Pins.TestCase
TestPins.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
