"""Images are verified in the background one after another, and never beside the work of a job."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from datetime import timedelta

import pytest

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.background_verification import BackgroundVerification
from precache.compute.turns import Turns
from precache.core.errors import Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Phase
from precache.core.stopping import StopReason

IMAGES = [parse_image_id(f"00000000-0000-0000-0000-00000000000{number}") for number in range(3)]
INTERVAL = timedelta(days=3)


class Host:
    """A driver with images that are due, and what its verification saw."""

    name = "played"

    def __init__(self):
        self.due, self.verified, self.naps, self.rates = list(IMAGES), [], [], []
        self.noted = []
        self.turns, self.stop = Turns(), CancelToken()
        self.during = self.on_nap = lambda: None

    def verify_due(self, interval, rate_now, watch):
        assert interval == INTERVAL
        if not self.due:
            return None
        self.rates.append(rate_now())
        self.during()
        watch(Phase.VERIFYING, 1, 2)
        self.rates.append(rate_now())
        self.verified.append(self.due.pop(0))
        return self.verified[-1]

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.on_nap()

    def run(self):
        BackgroundVerification(
            host="cmp-1",
            driver=self,
            turns=self.turns,
            stop=self.stop,
            interval=INTERVAL,
            rate_bytes_per_s=1000,
            sleep=self.sleep,
            on_change=lambda: self.noted.append(list(self.verified)),
        ).run()

    def job(self):
        deadline = Deadline(timedelta(hours=1), lambda: 0.0)
        return self.turns.turn(IMAGES[0], priority=0, arrival=1, deadline=deadline, wait=lambda: None)


def test_all_that_is_due_is_verified():
    host = Host()

    host.run()

    assert host.verified == IMAGES
    assert host.noted == [IMAGES[:1], IMAGES[:2], IMAGES]
    assert host.naps == []
    assert set(host.rates) == {1000}


def test_it_stands_still_while_a_job_works_on_the_host():
    host, jobs = Host(), ExitStack()
    host.during = lambda: host.verified or jobs.enter_context(host.job())
    host.on_nap = lambda: len(host.naps) < 3 or jobs.close()

    host.run()

    assert host.rates == [1000, 0, 1000, 1000, 1000, 1000]
    assert len(host.naps) == 3  # before the second image
    assert host.verified == IMAGES


@pytest.mark.parametrize("is_waiting", [True, False])
def test_it_ends_when_the_compute_stops(is_waiting):
    host = Host()
    host.during = host.on_nap = lambda: host.stop.cancel(StopReason.SHUTDOWN)

    with host.job() if is_waiting else nullcontext(), pytest.raises(Stopped):
        host.run()

    assert host.verified == []


def test_a_driver_of_an_earlier_release_is_left_alone():
    stop = CancelToken()

    BackgroundVerification(
        host="cmp-1", driver=object(), turns=Turns(), stop=stop, interval=INTERVAL, rate_bytes_per_s=1000
    ).run()
