"""An action in a thread of its own is waited for within a limit, and its failure ends nothing."""

from __future__ import annotations

import threading

from precache.background.dead_threads import DeadThreads
from precache.background.threads import run_within


def run(action, seconds=5):
    return run_within(seconds, action, name="action", what="Closing", of="cell1")


def test_an_action_that_takes_longer_is_left_alone():
    release = threading.Event()

    assert not run(release.wait, seconds=0.01)

    release.set()
    assert run(release.wait)


def test_a_failure_is_logged_and_does_not_end_the_process(caplog):
    ended = threading.Event()
    threads = DeadThreads(then=ended.set)

    with threads.watched():
        assert run(lambda: [].pop())

    assert not ended.is_set()
    assert [record.message for record in caplog.records] == ["Closing cell1 failed unexpectedly"]
