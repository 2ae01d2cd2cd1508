"""A bug of ours is told with its traceback, and ends none of the bus's threads."""

from __future__ import annotations

import threading
from datetime import timedelta

from precache.adapters.bus_oslo.guarded import guarded
from precache.adapters.bus_oslo.progress import BusProgress
from precache.adapters.bus_oslo.wake import BusWake
from precache.core.images import parse_image_id
from precache.core.jobs import Phase, TaskProgress

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
PATIENCE = timedelta(seconds=20)


class BuggyBus:
    """Fails at the first cast in a way that nobody foresaw; `was_used` is set at the next."""

    def __init__(self):
        self.casts, self.has_failed, self.was_used = [], threading.Event(), threading.Event()

    def cast(self, topic, method, message, *, to_all=False):
        self.casts.append(message)
        if len(self.casts) == 1:
            self.has_failed.set()
            raise RuntimeError("a bug")
        self.was_used.set()


def fail():
    raise RuntimeError("a bug")


def test_what_succeeds_gives_its_result():
    assert guarded(lambda: 7, what="Counting") == 7


def test_a_bug_is_told_with_its_traceback(caplog):
    assert guarded(fail, what="Counting") is None

    (record,) = caplog.records
    assert record.message.startswith("Counting failed")
    assert record.exc_info


def test_what_fails_because_of_a_stop_is_not_told(caplog):
    stopping = threading.Event()
    stopping.set()

    assert guarded(fail, what="Counting", stopping=stopping) is None

    assert not caplog.records


def test_progress_is_told_again_after_a_bug(caplog):
    bus = BuggyBus()
    progress = BusProgress(bus=bus, interval=timedelta(milliseconds=10))
    progress.start()

    progress.report(TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 1, 2))
    assert bus.has_failed.wait(PATIENCE.total_seconds())
    progress.report(TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 2, 2))

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
