"""Which methods are called again, for how long, and which are not."""

from datetime import timedelta

import pytest

from precache.adapters.sql.repeating import NotConnected, TransactionUndone, idempotent, repeatable
from precache.core.errors import ChangeUncertain, JobNotFound, StoreUnavailable

NOT_AT_ALL = timedelta()
LONG = timedelta(minutes=1)


class Store:
    """Its methods fail so many times with the error, then give how often they were called."""

    def __init__(self, *, failures, error, patience=LONG):
        self._database = Database(patience)
        self._failures, self._error = failures, error
        self.calls = 0

    @repeatable
    def change(self):
        return self._call()

    @idempotent
    def put(self):
        return self._call()

    def _call(self):
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self.calls


class Database:
    def __init__(self, patience):
        self.patience = patience


def test_what_came_to_nothing_is_done_again():
    store = Store(failures=3, error=TransactionUndone("deadlock"))

    assert store.change() == 4


@pytest.mark.parametrize("error", [TransactionUndone("lost"), ChangeUncertain("postgresql db1/precache")])
def test_an_idempotent_change_is_repeated_if_it_is_uncertain(error):
    assert Store(failures=2, error=error).put() == 3


@pytest.mark.parametrize(
    "error", [ChangeUncertain("postgresql db1/precache"), StoreUnavailable("disk full"), JobNotFound("1")]
)
def test_another_failure_is_passed_on_at_once(error):
    store = Store(failures=1, error=error)

    with pytest.raises(type(error)):
        store.change()

    assert store.calls == 1


def test_the_least_patience_is_worth_one_repetition():
    store = Store(failures=9, error=TransactionUndone("deadlock"), patience=NOT_AT_ALL)

    with pytest.raises(StoreUnavailable, match="deadlock"):
        store.change()

    assert store.calls == 2


def test_patience_ends():
    store = Store(failures=10**9, error=TransactionUndone("gone"), patience=timedelta(seconds=0.2))

    with pytest.raises(StoreUnavailable, match="gone"):
        store.change()


def test_an_uncertain_change_says_what_to_do():
    assert "look whether it was made before you ask for it again" in str(ChangeUncertain("mysql db1/precache"))


def test_a_wait_for_a_connection_that_used_the_patience_is_not_repeated():
    store = Store(failures=1, error=NotConnected("no greeting"), patience=NOT_AT_ALL)

    with pytest.raises(NotConnected):
        store.change()

    assert store.calls == 1


def test_a_connection_is_sought_again_while_patience_lasts():
    assert Store(failures=2, error=NotConnected("starting up")).change() == 3
