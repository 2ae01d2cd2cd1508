"""Threads together: the first failure of any is the failure of all."""

import threading

import pytest

from precache.background.task_group import TaskGroup
from precache.core.work_context import WorkContext, current_work, working_on


def test_group_ends_when_all_have_ended():
    done = []
    group = TaskGroup("test")
    group.start("one", lambda: done.append(1))
    group.start("two", lambda: done.append(2))

    while not group.wait(10):
        pass

    group.join()
    assert sorted(done) == [1, 2]


def test_threads_have_the_ids_of_their_caller():
    work, seen = WorkContext(job_id="job-1"), []
    group = TaskGroup("test")

    with working_on(work):
        group.start("one", lambda: seen.append(current_work()))
    group.join()

    assert seen == [work]


def test_wait_returns_whether_all_threads_have_ended():
    release = threading.Event()
    group = TaskGroup("test")
    group.start("waiting", release.wait)

    assert not group.wait(0)

    release.set()
    group.join()
    assert group.wait(0)


def test_first_failure_is_raised_while_others_still_work():
    release = threading.Event()
    group = TaskGroup("test")
    group.start("waiting", release.wait)

    def fail():
        raise ValueError("first")

    group.start("failing", fail)
    with pytest.raises(ValueError, match="first"):
        group.wait(10)

    release.set()
    group.join()


def test_later_failures_do_not_hide_the_first():
    failed = threading.Event()
    group = TaskGroup("test")

    def fail_first():
        raise ValueError("first")

    def fail_later():
        failed.wait(10)
        raise ValueError("later")

    group.start("first", fail_first)
    with pytest.raises(ValueError, match="first"):
        group.wait(10)
    group.start("later", fail_later)
    failed.set()
    group.join()

    with pytest.raises(ValueError, match="first"):
        group.wait(0)
