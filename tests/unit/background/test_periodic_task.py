"""An action is repeated until it is stopped, also after errors."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.background.periodic_task import PeriodicTask
from precache.core.errors import StoreUnavailable

AT_ONCE, NEVER = timedelta(milliseconds=1), timedelta(hours=1)
PATIENCE = timedelta(seconds=20)


class Action:
    """Raises `errors` one after the other, then succeeds; `calls` counts up."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), threading.Semaphore(0)

    def __call__(self):
        error = self.errors.pop(0) if self.errors else None
        self.calls.release()
        if error is not None:
            raise error

    def was_called(self):
        return self.calls.acquire(timeout=PATIENCE.total_seconds())


def test_the_first_call_comes_at_once_and_the_next_after_the_interval():
    action = Action()
    task = PeriodicTask(action=action, interval=AT_ONCE, what="The action")

    task.start()

    assert action.was_called()
    assert action.was_called()
    task.stop(PATIENCE)


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), RuntimeError("a bug")])
def test_a_failure_is_logged_and_the_action_comes_round_again(caplog, error):
    action = Action(error)
    task = PeriodicTask(action=action, interval=AT_ONCE, what="The action of", of="cmp-1")

    task.start()

    assert action.was_called()
    assert action.was_called()
    task.stop(PATIENCE)
    assert "The action of cmp-1 failed" in caplog.text
    assert "will be tried again in 0:00:00.001" in caplog.text


def test_a_failure_is_tried_again_sooner_where_that_is_asked_for():
    action = Action(StoreUnavailable("gone"))
    task = PeriodicTask(action=action, interval=NEVER, retry_interval=AT_ONCE, what="The action")

    task.start()

    assert action.was_called()
    assert action.was_called()
    task.stop(PATIENCE)


def test_a_delay_comes_before_the_first_call():
    action = Action()
    task = PeriodicTask(action=action, interval=AT_ONCE, delay=NEVER, what="The action")

    task.start()
    task.stop(PATIENCE)

    assert not action.calls.acquire(blocking=False)


def test_a_stop_ends_the_wait_and_nothing_is_called_after_it():
    action = Action()
    task = PeriodicTask(action=action, interval=NEVER, what="The action that ends")
    task.start()
    assert action.was_called()

    task.stop(PATIENCE)

    assert not [thread for thread in threading.enumerate() if thread.name == "The action that ends"]
    assert not action.calls.acquire(blocking=False)


def test_a_wake_ends_the_wait():
    action = Action()
    task = PeriodicTask(action=action, interval=NEVER, what="The action")
    task.start()
    assert action.was_called()

    task.wake()

    assert action.was_called()
    task.stop(PATIENCE)


def test_a_wake_during_a_call_leads_to_another_one():
    calls, goes_on = threading.Semaphore(0), threading.Event()

    def action():
        calls.release()
        goes_on.wait(PATIENCE.total_seconds())

    task = PeriodicTask(action=action, interval=NEVER, what="The action")
    task.start()
    assert calls.acquire(timeout=PATIENCE.total_seconds())

    task.wake()
    goes_on.set()

    assert calls.acquire(timeout=PATIENCE.total_seconds())
    task.stop(PATIENCE)


def test_a_task_that_never_started_can_be_stopped():
    PeriodicTask(action=Action(), interval=NEVER, what="The action").stop(PATIENCE)
