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
    assert log_exceptions(lambda: None, what="Counting")

    assert not caplog.records


def test_a_bug_is_logged_with_its_traceback(caplog):
    assert not log_exceptions(fail, what="Counting", of="hosts")

    (record,) = caplog.records
    assert record.message == "Counting hosts failed unexpectedly"
    assert record.exc_info


def test_a_foreseen_failure_is_one_line_with_what_happens_next(caplog):
    assert not log_exceptions(refuse, what="Counting", then="will be tried again")

    (record,) = caplog.records
    assert record.message.startswith("Counting failed and will be tried again: ")
    assert "gone" in record.message
    assert not record.exc_info


def test_what_fails_because_of_a_stop_is_not_logged(caplog):
    stopping = threading.Event()
    stopping.set()

    assert not log_exceptions(fail, what="Counting", stopping=stopping)

    assert not caplog.records


def test_an_observer_learns_of_every_run_and_how_it_failed():
    runs = []

    with observing(lambda what, duration_s, error: runs.append((what, duration_s >= 0, type(error)))):
        log_exceptions(lambda: None, what="Counting", of="hosts")
        log_exceptions(fail, what="Counting", of="images")
    log_exceptions(fail, what="Counting")

    assert runs == [("Counting", True, type(None)), ("Counting", True, RuntimeError)]


def test_a_bug_in_an_observer_ends_no_thread(caplog):
    def observer(what, duration_s, error):
        raise RuntimeError("a bug of the observer")

    with observing(observer):
        assert not log_exceptions(lambda: None, what="Counting")

    assert "a bug of the observer" in caplog.text
