"""A token is cancelled once, with a reason, and its children with it."""

import gc
import threading

import pytest

from precache.background.cancel_token import CancelToken
from precache.core.errors import Stopped
from precache.core.stopping import StopReason


def test_a_new_token_is_not_cancelled():
    token = CancelToken()

    token.check("The work")

    assert not token.is_cancelled
    assert token.reason is None
    assert not token.wait(0)


def test_the_first_reason_is_kept():
    token = CancelToken()

    token.cancel(StopReason.CANCELLED)
    token.cancel(StopReason.SHUTDOWN)

    assert token.reason is StopReason.CANCELLED


@pytest.mark.parametrize("reason", StopReason)
def test_the_check_raises_what_was_stopped_and_why(reason):
    token = CancelToken()
    token.cancel(reason)

    with pytest.raises(Stopped) as raised:
        token.check("The transfer")

    assert raised.value.reason is reason
    assert str(raised.value).startswith("The transfer was stopped before it ended")
    assert (f"({reason})" in str(raised.value)) == (reason is not StopReason.SHUTDOWN)


def test_a_child_is_cancelled_with_its_parent_and_never_the_other_way_round():
    parent = CancelToken()
    child, other = parent.child(), parent.child()
    grandchild = child.child()

    child.cancel(StopReason.CANCELLED)
    before = [token.is_cancelled for token in (parent, other, grandchild)]
    parent.cancel(StopReason.SHUTDOWN)

    assert before == [False, False, True]
    assert [token.reason for token in (parent, other)] == [StopReason.SHUTDOWN] * 2


def test_the_reason_of_a_parent_counts_before_that_of_its_child():
    parent = CancelToken()
    child = parent.child()

    child.cancel(StopReason.CANCELLED)
    parent.cancel(StopReason.LEASE_LOST)

    assert child.reason is StopReason.LEASE_LOST


def test_the_child_of_a_cancelled_parent_is_born_cancelled():
    parent = CancelToken()
    parent.cancel(StopReason.SHUTDOWN)

    child = parent.child()

    assert child.wait(0)
    assert child.reason is StopReason.SHUTDOWN


def test_a_cancel_ends_the_waits_of_all_threads():
    parent = CancelToken()
    ended = [threading.Event() for _ in range(3)]

    def wait(token, event):
        if token.wait(30):
            event.set()

    for event in ended:
        threading.Thread(target=wait, args=(parent.child(), event), daemon=True).start()
    parent.cancel(StopReason.SHUTDOWN)

    assert all(event.wait(10) for event in ended)


def test_a_parent_does_not_keep_its_children_alive():
    parent = CancelToken()
    for _ in range(100):
        parent.child()

    gc.collect()

    assert len(parent._children) == 0
