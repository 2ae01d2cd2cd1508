"""Images that are pinned and gone are fetched again: when, how often, and what an operator is told."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.restore_images import AFTER_FAILURE, AFTER_REFUSAL, LONGEST_FETCH, RestoreImages
from precache.compute.turns import Turns
from precache.core.cache_entries import AlarmKind
from precache.core.errors import (
    DeadlinePassed,
    ImageNotActive,
    ImageNotFound,
    ImageServiceUnavailable,
    NotEnoughSpace,
)
from precache.core.free_space import FreeSpace
from precache.core.images import parse_image_id
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.stopping import StopReason
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.alarms import CacheAlarms
from precache.imagecache.names import entry_name

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
OTHER = parse_image_id("00000000-0000-0000-0000-000000000002")


class Host:
    """A host on which images are missing: the parts that the restoring uses, and what they saw."""

    name = "played"

    def __init__(self, **options):
        self.fetched, self.errors = [], {}
        self.cache_alarms = CacheAlarms(clock=MemoryClock())
        self.now_s, self.wakes = 0.0, 0
        self.turns, self.stop, self.rates = Turns(), CancelToken(), RateLimits()
        self.during = lambda watch: None
        self.restoring = RestoreImages(
            host="cmp-1",
            driver=self,
            turns=self.turns,
            stop=self.stop,
            rates=self.rates,
            clock=MemoryClock(),
            alarms=self.cache_alarms,
            wake=self.wake,
            monotonic=lambda: self.now_s,
            **options,
        )

    def cache_image(self, order, watch):
        assert order == ImageOrder(order.image)
        self.fetched.append(order.image)
        watch(Phase.DOWNLOADING, 1, 2)
        self.during(watch)
        if order.image in self.errors:
            raise self.errors[order.image]
        return True

    @property
    def alarms(self):
        current = self.cache_alarms.current()
        assert all((each.kind, each.entry) == (AlarmKind.NOT_RESTORED, entry_name(each.image)) for each in current)
        return {each.image: each.text for each in current}

    def wake(self):
        self.wakes += 1

    def run_after(self, pause):
        """Run a pass that much later; return what it fetched."""
        self.now_s += pause.total_seconds()
        before = len(self.fetched)
        self.restoring.run()
        return self.fetched[before:]


NOW = timedelta()


def test_a_missing_image_is_fetched_once_and_its_restorer_is_woken_for_it():
    host = Host()
    host.restoring.set_missing([IMAGE, OTHER])

    assert host.wakes == 1
    assert sorted(host.run_after(NOW)) == [IMAGE, OTHER]
    assert host.run_after(AFTER_REFUSAL) == []


def test_what_is_found_again_meanwhile_is_not_fetched():
    host = Host()
    host.restoring.set_missing([IMAGE])
    host.restoring.set_missing([])

    assert host.run_after(NOW) == []


def test_jobs_have_their_turns_first():
    host, order = Host(), []
    host.during = lambda watch: order.append("restored")

    @contextmanager
    def job_that_waits():
        """Let a job wait for the turn that is taken, as the missing image does."""
        real = host.turns._taken_by

        def taken_by(place, deadline):
            if place.negative_priority == 1 and not order:
                with host.turns.turn(OTHER, priority=0, arrival=9, deadline=Deadline(None), wait=lambda: None):
                    assert real(place, deadline) is False
                    order.append("job")
            return real(place, deadline)

        host.turns._taken_by = taken_by
        yield

    host.restoring.set_missing([IMAGE])
    with job_that_waits():
        host.run_after(NOW)

    assert order == ["job", "restored"]


def test_the_download_follows_the_limit_of_the_host():
    host, seen = Host(rate_bytes_per_s=7), []
    host.during = lambda watch: seen.append(host.rates.of(ImageOrder(IMAGE)).rate_now())
    host.restoring.set_missing([IMAGE])

    host.run_after(NOW)

    assert seen == [7]


def test_while_the_image_service_is_down_the_pauses_grow_and_the_end_clears_the_alarm():
    host, pauses = Host(), []
    host.errors[IMAGE] = ImageServiceUnavailable("http://glance", "503")
    host.restoring.set_missing([IMAGE])
    host.run_after(NOW)

    for _ in range(8):
        pause = timedelta()
        while not host.run_after(timedelta(seconds=15)):
            host.restoring.set_missing([IMAGE])  # each pass over the pins finds it again
            pause += timedelta(seconds=15)
        pauses.append(pause)
    assert "503" in host.alarms[IMAGE]
    del host.errors[IMAGE]

    assert host.run_after(AFTER_FAILURE.longest) == [IMAGE]
    assert min(pauses) >= AFTER_FAILURE.first / 2 - timedelta(seconds=15)
    assert max(pauses) > 10 * min(pauses)
    assert max(pauses) <= AFTER_FAILURE.longest
    assert host.alarms == {}


REFUSALS = {
    "it has left the service": ImageNotFound(IMAGE),
    "it was deactivated": ImageNotActive(IMAGE, "deactivated"),
    "the host does not boot from its cache": NotImplementedError("images_type is rbd"),
}


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
def test_an_image_that_cannot_be_had_is_an_alarm_and_asked_for_once_a_day(error, caplog):
    host = Host()
    host.errors[IMAGE] = error
    host.restoring.set_missing([IMAGE])

    assert host.run_after(NOW) == [IMAGE]
    host.restoring.set_missing([IMAGE])
    assert host.run_after(AFTER_REFUSAL - timedelta(seconds=1)) == []

    assert str(error).rstrip(".") in host.alarms[IMAGE]
    assert "The next attempt is at 2026-01-02 00:00:00+00:00" in host.alarms[IMAGE]
    assert [record.levelname for record in caplog.records if record.levelname != "INFO"] == ["ERROR"]
    assert host.run_after(timedelta(seconds=1)) == [IMAGE]


def test_an_image_that_does_not_fit_is_an_alarm_and_tried_again_within_the_hour():
    host = Host()
    host.errors[IMAGE] = NotEnoughSpace(IMAGE, FreeSpace(5), "/cache", needed_bytes=9)
    host.restoring.set_missing([IMAGE])

    host.run_after(NOW)

    assert "/cache" in host.alarms[IMAGE]
    assert host.run_after(AFTER_FAILURE.longest) == [IMAGE]


def test_a_bug_with_one_image_does_not_stop_the_others(caplog):
    host = Host()
    host.errors[IMAGE] = ZeroDivisionError("zero")
    host.restoring.set_missing([IMAGE, OTHER])

    assert sorted(host.run_after(NOW)) == [IMAGE, OTHER]
    assert "ZeroDivisionError" in host.alarms[IMAGE]


def test_an_image_that_is_unpinned_while_it_is_fetched_is_given_up():
    host = Host()

    def unpin(watch):
        host.restoring.forget(IMAGE)
        watch(Phase.DOWNLOADING, 1, 2)
        pytest.fail("the download goes on")

    host.during = unpin
    host.restoring.set_missing([IMAGE])

    host.run_after(NOW)
    host.during = lambda watch: None

    assert host.run_after(AFTER_REFUSAL) == []
    assert host.alarms == {}


def test_a_host_that_stops_ends_the_download_and_begins_none():
    host = Host()

    def stop(watch):
        host.stop.cancel(StopReason.SHUTDOWN)
        watch(Phase.DOWNLOADING, 1, 2)

    host.during = stop
    host.restoring.set_missing([IMAGE, OTHER])

    assert len(host.run_after(NOW)) == 1
    assert host.run_after(AFTER_REFUSAL) == []
    assert host.alarms == {}


def test_the_time_for_which_the_limit_holds_a_download_back_does_not_count():
    host = Host(rate_bytes_per_s=7)

    def hold_back(watch):
        host.now_s += 2 * LONGEST_FETCH.total_seconds()
        host.rates.of(ImageOrder(IMAGE)).note_wait(1.5 * LONGEST_FETCH.total_seconds())
        watch(Phase.DOWNLOADING, 1, 2)

    host.during = hold_back
    host.restoring.set_missing([IMAGE])

    host.run_after(NOW)

    assert host.alarms == {}
    assert host.run_after(AFTER_REFUSAL) == []


def test_a_fetch_that_hangs_frees_the_turn():
    host = Host()

    def hang(watch):
        host.now_s += LONGEST_FETCH.total_seconds() + 1
        watch(Phase.DOWNLOADING, 1, 2)

    host.during = hang
    host.restoring.set_missing([IMAGE])

    host.run_after(NOW)

    assert str(DeadlinePassed(IMAGE, 1)).rstrip(".") in host.alarms[IMAGE]
