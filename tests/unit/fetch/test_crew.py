"""Threads together: the first failure of any is the failure of all."""

import threading

import pytest

from precache.fetch.crew import Crew


def test_crew_ends_when_all_have_ended():
    done = []
    crew = Crew("test")
    crew.start("one", lambda: done.append(1))
    crew.start("two", lambda: done.append(2))

    while not crew.wait(10):
        pass

    crew.join()
    assert sorted(done) == [1, 2]


def test_crew_that_still_works_is_told_from_one_that_has_ended():
    release = threading.Event()
    crew = Crew("test")
    crew.start("waiting", release.wait)

    assert not crew.wait(0)

    release.set()
    crew.join()
    assert crew.wait(0)


def test_first_failure_is_raised_while_others_still_work():
    release = threading.Event()
    crew = Crew("test")
    crew.start("waiting", release.wait)

    def fail():
        raise ValueError("first")

    crew.start("failing", fail)
    with pytest.raises(ValueError, match="first"):
        crew.wait(10)

    release.set()
    crew.join()


def test_later_failures_do_not_hide_the_first():
    failed = threading.Event()
    crew = Crew("test")

    def fail_first():
        raise ValueError("first")

    def fail_later():
        failed.wait(10)
        raise ValueError("later")

    crew.start("first", fail_first)
    with pytest.raises(ValueError, match="first"):
        crew.wait(10)
    crew.start("later", fail_later)
    failed.set()
    crew.join()

    with pytest.raises(ValueError, match="first"):
        crew.wait(0)
