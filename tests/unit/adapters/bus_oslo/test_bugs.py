"""A bug ends none of the bus's threads."""

from __future__ import annotations

import threading
from datetime import timedelta

from precache.adapters.bus_oslo.reports import BusReports
from precache.adapters.bus_oslo.wake import BusWake
from precache.core.images import parse_image_id
from precache.core.jobs import Phase, TaskProgress
from precache.wiring.progress import progress_batcher

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
PATIENCE = timedelta(seconds=20)


class BuggyBus:
    """Fails unexpectedly at the first cast; `was_used` is set at the next."""

    def __init__(self):
        self.casts, self.has_failed, self.was_used = [], threading.Event(), threading.Event()

    def cast(self, topic, method, message, *, to_all=False):
        self.casts.append(message)
        if len(self.casts) == 1:
            self.has_failed.set()
            raise RuntimeError("a bug")
        self.was_used.set()


def test_progress_is_sent_again_after_a_bug(caplog):
    bus = BuggyBus()
    progress = progress_batcher(BusReports(bus=bus).note_progress, interval=timedelta(milliseconds=10))
    progress.start()

    progress.add(TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 1, 2))
    assert bus.has_failed.wait(PATIENCE.total_seconds())
    progress.add(TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 2, 2))

    assert bus.was_used.wait(PATIENCE.total_seconds())
    progress.stop(PATIENCE)
    assert "a bug" in caplog.text


def test_conductors_are_woken_again_after_a_bug():
    bus = BuggyBus()
    wake = BusWake(bus=bus)

    wake()
    assert bus.has_failed.wait(PATIENCE.total_seconds())
    wake()

    assert bus.was_used.wait(PATIENCE.total_seconds())


class SlowBus:
    """Holds the first cast until `may_go_on` is set."""

    def __init__(self):
        self.begun, self.may_go_on = threading.Semaphore(0), threading.Event()

    def cast(self, topic, method, message, *, to_all=False):
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE.total_seconds())


def test_calls_during_a_message_to_the_conductors_cause_one_more():
    bus = SlowBus()
    wake = BusWake(bus=bus)
    wake()
    assert bus.begun.acquire(timeout=PATIENCE.total_seconds())

    for _ in range(3):
        wake()
    bus.may_go_on.set()

    assert bus.begun.acquire(timeout=PATIENCE.total_seconds())
    assert not bus.begun.acquire(timeout=0.2)
