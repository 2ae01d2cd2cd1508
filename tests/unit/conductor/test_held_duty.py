"""A conductor knows without asking that it has a duty, and does not believe it for too long."""

from contextlib import suppress
from datetime import timedelta

import pytest

from precache.conductor.held_duty import HeldDuty
from precache.core.errors import StoreUnavailable

LEASE = timedelta(seconds=30)


class Store:
    """The port `Duties`. answer: of the next calls; None if it is down."""

    def __init__(self) -> None:
        self.answer: bool | None = True
        self.calls = 0
        self.leases: list[timedelta] = []

    def hold(self, duty, owner, lease):
        self.calls += 1
        self.leases.append(lease)
        if self.answer is None:
            raise StoreUnavailable("connection refused")
        return self.answer


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def duty(store, clock):
    return HeldDuty(duties=store, name="notices", owner="one", lease=LEASE, monotonic=lambda: clock[0])


@pytest.mark.parametrize("answer", [True, False])
def test_the_store_is_asked_three_times_in_a_lease(duty, store, clock, answer):
    store.answer = answer
    for _ in range(30):
        assert duty.is_held() is answer
        clock[0] += 1

    assert store.calls == 3


def test_a_duty_that_another_has_taken_is_not_held_any_more(duty, store, clock):
    assert duty.is_held()
    store.answer = False
    clock[0] += 10

    assert not duty.is_held()


def test_while_the_store_is_down_the_duty_is_not_held(duty, store, clock):
    assert duty.is_held()
    store.answer = None
    clock[0] += 10

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            duty.is_held()
    store.answer = True
    assert duty.is_held()


def test_a_duty_that_is_given_up_is_free_and_not_taken_again(duty, store, clock):
    assert duty.is_held()

    duty.give_up()

    assert store.leases[-1] == timedelta()
    clock[0] += 1000
    assert not duty.is_held()
    assert store.calls == 2


@pytest.mark.parametrize("answer", [False, None])
def test_a_duty_that_is_not_held_is_not_given_up(duty, store, answer):
    store.answer = answer
    with suppress(StoreUnavailable):
        duty.is_held()

    duty.give_up()

    assert store.calls == 1


def test_a_store_that_is_down_does_not_prevent_the_end(duty, store):
    assert duty.is_held()
    store.answer = None

    duty.give_up()
