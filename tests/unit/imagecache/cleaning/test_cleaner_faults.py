"""The cleaner under clocks that jump, beside another cleaner, and on a host that must not clean."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.cache_cleaning import CleanRequest
from precache.core.images import ImageId
from precache.core.pins import Pin
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.cleaner import Cleaner
from precache.imagecache.cleaning.cleaner_memory import MEMORY_NAME
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.records.entry_record import EntryRecord
from precache.rules.eviction import Cleaning
from precache.rules.expiry import ExpiryLimits
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.cleaning.test_cleaner import OTHER, cleaner_of, names, put, put_overlay
from tests.unit.imagecache.conftest import ENTRY

OTHER_IMAGE = ImageId("fd0cb2f1-8375-44c9-b1f4-3e1f4c4a8ef0")
AT_ONCE = Cleaning(ExpiryLimits(timedelta(), timedelta()))

PASS = """
locks = EntryLocks(directory=root / "_base", clock=SystemClock(), prefix=".precache-")
with locks.hold("cleaner.lock", lambda: None):
    say("held")
    hear()
"""


class TestClocks:
    """A clock that jumps a year empties no cache."""

    @pytest.mark.parametrize("jump", [timedelta(days=365), -timedelta(days=365)])
    def test_a_jump_of_the_clock_removes_nothing_and_what_is_old_goes_when_it_is(
        self, cache: ImageCache, clock: MemoryClock, jump: timedelta
    ) -> None:
        put(cache, ENTRY, clock, age=timedelta(hours=22))
        cleaner = cleaner_of(cache, clock)

        clock.jump(jump)
        at_once = [cleaner.clean(), cleaner.clean()]
        clock.advance(timedelta(hours=1))
        an_hour_later = cleaner.clean()
        clock.advance(timedelta(hours=1))

        assert at_once == [[], []]
        assert an_hour_later == []
        assert cleaner.clean() == [ENTRY]

    def test_a_jump_while_no_cleaner_runs_is_known_to_the_next(self, cache: ImageCache, clock: MemoryClock) -> None:
        put(cache, ENTRY, clock, age=timedelta(hours=22))
        cleaner_of(cache, clock)

        clock.jump(timedelta(days=365))

        assert cleaner_of(cache, clock).clean() == []

    @pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"version": 99}', b'{"version": 1}'])
    def test_a_damaged_memory_is_begun_again(
        self, cache: ImageCache, clock: MemoryClock, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(cache, ENTRY, clock, age=timedelta(days=9))
        cleaner = cleaner_of(cache, clock)
        (cache.directory / MEMORY_NAME).write_bytes(content)

        assert cleaner.clean() == [ENTRY]
        assert "is damaged, and begun again" in caplog.text

    def test_a_memory_that_cannot_be_stored_is_kept_in_the_process(
        self, cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        (cache.directory / MEMORY_NAME).mkdir()
        put(cache, ENTRY, clock, age=timedelta(hours=22))
        cleaner = cleaner_of(cache, clock)

        clock.jump(timedelta(days=365))

        assert [cleaner.clean(), cleaner.clean()] == [[], []]
        assert caplog.text.count("could not be stored") == 1


class _ReleasingClock(MemoryClock):
    """What another holds is released while someone sleeps."""

    def __init__(self, held: ExitStack) -> None:
        super().__init__()
        self._held = held

    def sleep(self, duration: timedelta) -> None:
        self._held.close()
        super().sleep(duration)


class TestTwoCleaners:
    def test_a_second_cleaner_of_another_process_waits_for_its_turn(
        self, cache: ImageCache, clock: MemoryClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(cache, ENTRY, clock, age=timedelta(days=9))
        cleaner = cleaner_of(cache, clock)

        with another_process(tmp_path, PASS) as other:
            assert other.hear() == "held"
            while_other = [cleaner.clean(), cleaner.clean()]
            on_request = cleaner.clean_now(CleanRequest(everything=True))

        assert while_other == [[], []]
        assert caplog.text.count("another pass over this cache has not ended") == 1
        assert "another pass over this cache has not ended" in on_request.refused
        assert cleaner.clean() == [ENTRY]

    def test_hosts_that_share_the_cache_clean_by_turns_without_a_warning(
        self, cache: ImageCache, clock: MemoryClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(cache, ENTRY, clock, age=timedelta(days=9))
        cleaner = cleaner_of(cache, clock, is_shared=lambda: True)

        with another_process(tmp_path, PASS) as other:
            assert other.hear() == "held"
            while_other = cleaner.clean()

        assert while_other == []
        assert "another pass" not in caplog.text

    def test_a_pass_waits_for_one_that_ends_soon(self, cache: ImageCache) -> None:
        """Else hosts that share a cache and started together would hinder each other at each pass."""
        other = ExitStack()
        clock = _ReleasingClock(other)
        put(cache, ENTRY, clock, age=timedelta(days=9))
        cleaner = cleaner_of(cache, clock)
        locks = EntryLocks(directory=cache.directory, clock=clock, prefix=".precache-")
        assert other.enter_context(locks.hold_if_free("cleaner.lock"))

        assert cleaner.clean() == [ENTRY]

    def test_two_computes_on_one_cache_lose_nothing_that_is_needed(self, cache: ImageCache, clock: MemoryClock) -> None:
        """Both clean, by mistake, at once, with the strictest rules, while boots and removals of disks go on."""
        used, pinned = put(cache, ENTRY, clock, age=timedelta(days=9)), put(cache, OTHER, clock, age=timedelta(days=9))
        put_overlay(cache.directory.parent / "instance-1" / "disk", used)
        cache.records.write(EntryRecord(image=OTHER_IMAGE, pins=(Pin("job:1"),)))
        again = ImageCache(directory=cache.directory, locks_directory=cache.locks.directory, clock=clock)
        cleaners = [cleaner_of(each, clock, cleaning=AT_ONCE) for each in (cache, again)]

        def work(cleaner: Cleaner) -> list[str]:
            removed = []
            for number in range(20):
                # At once with its age: the other one would remove it in between.
                draft = put(cache, f"{number}.{threading.get_ident()}", clock, age=timedelta(days=9))
                draft.rename(cache.directory / f"{number:040}")
                removed += cleaner.clean()
                removed += [entry.entry for entry in cleaner.clean_now(CleanRequest(everything=True)).removed]
            return removed

        with ThreadPoolExecutor(2) as pool:
            removed = [name for names_of_one in pool.map(work, cleaners) for name in names_of_one]

        assert used.exists()
        assert pinned.exists()
        assert not {ENTRY, OTHER} & set(removed)
        assert names(cache) - {f"{number:040}" for number in range(20)} == {ENTRY, OTHER, f"{OTHER}.precache"}

    def test_novas_cleaner_beside_ours_breaks_nothing(self, cache: ImageCache, clock: MemoryClock) -> None:
        """Nova's removes under the same locks, and the lock files too; each finds that the other was there before."""
        used = put(cache, ENTRY, clock, age=timedelta(days=9))
        put_overlay(cache.directory.parent / "instance-1" / "disk", used)
        cleaner = cleaner_of(cache, clock, cleaning=AT_ONCE)
        unused = [f"{number:040}" for number in range(200)]
        for name in unused:
            put(cache, name, clock, age=timedelta(days=9))

        def clean_as_nova() -> set[str]:
            removed = set()
            for name in unused:
                with cache.locks.hold_if_free(name) as is_held:
                    path = cache.directory / name
                    if is_held and path.exists():
                        path.unlink()
                        cache.locks.remove_file(name)
                        removed.add(name)
            return removed

        with ThreadPoolExecutor(1) as nova:
            by_nova = nova.submit(clean_as_nova)
            by_ours = set(cleaner.clean()) | set(cleaner.clean())

        assert not by_ours & by_nova.result()
        assert by_ours | by_nova.result() == set(unused)
        assert used.exists()
        assert names(cache) == {ENTRY}

    def test_while_this_host_may_not_clean_it_resets_ages_and_removes_nothing(
        self, cache: ImageCache, clock: MemoryClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(cache, ENTRY, clock, age=timedelta(days=9))
        used = put(cache, OTHER, clock, age=timedelta(days=9))
        put_overlay(cache.directory.parent / "instance-1" / "disk", used)
        reasons = ["host cmp-2 cleans this cache"]
        cleaner = cleaner_of(cache, clock, may_clean=lambda: reasons[0])

        removed = [cleaner.clean(), cleaner.clean()]
        on_request = cleaner.clean_now(CleanRequest(everything=True))
        reasons[0] = ""

        assert removed == [[], []]
        assert on_request.refused == "host cmp-2 cleans this cache"
        assert caplog.text.count("host cmp-2 cleans this cache") == 1
        assert used.stat().st_mtime == clock.now().timestamp()
        assert cleaner.clean() == [ENTRY]
