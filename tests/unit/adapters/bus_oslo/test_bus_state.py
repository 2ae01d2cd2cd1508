"""What is said of a broker that comes and goes, and what is known of it."""

import logging

import pytest

from precache.adapters.bus_oslo.bus_state import REMINDER_S, BusState


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(clock):
    return BusState(place="rabbit:5672/cell1", monotonic=clock)


def test_a_broker_that_stays_down_is_mentioned_once_and_then_rarely(state, clock, caplog):
    for _ in range(5):
        state.note_down("connection refused")
    clock.now += REMINDER_S
    state.note_down("connection refused")

    assert [record.message for record in caplog.records] == [
        "The message bus rabbit:5672/cell1 is not available: connection refused; trying until it is"
    ] * 2


def test_another_reason_is_said_at_once(state, caplog):
    state.note_down("connection refused")
    state.note_down("the broker refuses the user or the password")

    assert len(caplog.records) == 2


def test_its_return_is_said_once(state, caplog):
    caplog.set_level(logging.INFO)
    state.note_up()
    state.note_down("connection refused")
    caplog.clear()

    state.note_up()
    state.note_up()

    assert [record.message for record in caplog.records] == ["The message bus rabbit:5672/cell1 is available again"]


def test_a_recent_outage_is_known(state, clock):
    state.note_up()
    assert not state.was_down_within(10)

    state.note_down("connection refused")
    clock.now += 60
    assert state.was_down_within(10)
    assert state.down_for_s() == 60

    state.note_down("connection refused")
    state.note_up()
    clock.now += 10
    assert state.was_down_within(10)
    assert state.down_for_s() == 0
    clock.now += 1
    assert not state.was_down_within(10)


def test_nothing_is_known_before_the_first_attempt(state):
    assert not state.is_up
    assert not state.was_down_within(10)
    assert not state.wait_until_up(0)
