"""A failure is logged, a bug with its traceback, and ends no thread."""

from __future__ import annotations

import threading

from precache.background.log_exceptions import log_exceptions
from precache.background.observer import observing
from precache.core.errors import StoreUnavailable


def fail():
    raise RuntimeError("a bug")


def refuse():
    raise StoreUnavailable("gone")


def test_what_succeeds_is_not_logged(caplog):
    with log_exceptions(what="Counting"):
        done = True

    assert done

    assert not caplog.records


def test_a_bug_is_logged_with_its_traceback(caplog):
    with log_exceptions(what="Counting", of="hosts"):
        fail()

    (record,) = caplog.records
    assert record.message == "Counting hosts failed unexpectedly"
    assert record.exc_info


def test_a_foreseen_failure_is_one_line_with_what_happens_next(caplog):
    with log_exceptions(what="Counting", then="will be tried again"):
        refuse()

    (record,) = caplog.records
    assert record.message.startswith("Counting failed and will be tried again: ")
    assert "gone" in record.message
    assert not record.exc_info


def test_what_fails_because_of_a_stop_is_not_logged(caplog):
    stopping = threading.Event()
    stopping.set()

    with log_exceptions(what="Counting", stopping=stopping):
        fail()

    assert not caplog.records


def test_an_observer_learns_of_every_run_and_how_it_failed():
    runs = []

    with observing(lambda what, duration_s, error: runs.append((what, duration_s >= 0, type(error)))):
        with log_exceptions(what="Counting", of="hosts"):
            pass
        with log_exceptions(what="Counting", of="images"):
            fail()
    with log_exceptions(what="Counting"):
        fail()

    assert runs == [("Counting", True, type(None)), ("Counting", True, RuntimeError)]


def test_a_bug_in_an_observer_ends_no_thread(caplog):
    def observer(what, duration_s, error):
        raise RuntimeError("a bug of the observer")

    with observing(observer), log_exceptions(what="Counting"):
        pass

    assert "a bug of the observer" in caplog.text
