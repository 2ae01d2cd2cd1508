"""A pool whose threads keep no process and whose size is bounded."""

from __future__ import annotations

import threading

import pytest

from precache.background.daemon_pool import DaemonPool
from precache.background.threads import start_thread
from precache.core.work_context import WorkContext, current_work, working_on

PATIENCE_S = 20


def test_work_is_done_by_daemons_and_its_result_or_error_handed_over():
    pool = DaemonPool(max_workers=2)

    assert pool.submit(lambda: threading.current_thread().daemon).result(PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(PATIENCE_S)


def test_work_has_the_ids_of_its_caller_whichever_thread_runs_it():
    pool, first, second = DaemonPool(max_workers=1), WorkContext(job_id="job-1"), WorkContext(job_id="job-2")

    with working_on(first):
        of_first = pool.submit(current_work)
    with working_on(second):
        of_second = pool.submit(current_work)
    of_none = pool.submit(current_work)

    assert [work.result(PATIENCE_S) for work in (of_first, of_second, of_none)] == [first, second, None]


def test_no_more_is_under_way_at_once_than_there_may_be_threads():
    pool, lock, may_end = DaemonPool(max_workers=2), threading.Lock(), threading.Event()
    running, most = set(), []

    def work(number):
        with lock:
            running.add(number)
            most.append(len(running))
        may_end.wait(PATIENCE_S if len(most) == 1 else 0)
        with lock:
            running.discard(number)

    futures = [pool.submit(work, number) for number in range(20)]
    may_end.set()
    for future in futures:
        future.result(PATIENCE_S)

    assert max(most) <= 2


def test_shutdown_waits_for_what_was_submitted():
    pool, may_end, done = DaemonPool(max_workers=1), threading.Event(), []
    pool.submit(may_end.wait, PATIENCE_S)
    pool.submit(done.append, 1)

    may_end.set()
    pool.shutdown()

    assert done == [1]


def test_work_that_was_cancelled_in_the_queue_is_not_done():
    pool, may_end, done = DaemonPool(max_workers=1), threading.Event(), []
    pool.submit(may_end.wait, PATIENCE_S)
    waiting = pool.submit(done.append, 1)

    assert waiting.cancel()
    may_end.set()
    pool.shutdown()

    assert done == []


def test_a_shutdown_may_drop_what_has_not_begun():
    pool, has_begun, may_end, done = DaemonPool(max_workers=1), threading.Event(), threading.Event(), []

    def work():
        has_begun.set()
        may_end.wait(PATIENCE_S)

    pool.submit(work)
    assert has_begun.wait(PATIENCE_S)
    waiting = pool.submit(done.append, 1)
    pool.shutdown(wait=False, cancel_futures=True)
    may_end.set()
    pool.shutdown()

    assert waiting.cancelled()
    assert done == []


def test_work_is_refused_and_never_done_where_the_system_has_no_thread_to_give():
    refusals, done = [1], []

    def scarce(run, *, name):
        if refusals:
            refusals.pop()
            raise RuntimeError("can't start new thread")
        return start_thread(run, name=name)

    pool = DaemonPool(max_workers=1, start=scarce)
    with pytest.raises(RuntimeError, match="new thread"):
        pool.submit(done.append, 1)
    pool.submit(done.append, 2)
    pool.shutdown()

    assert done == [2]


def test_the_threads_that_there_are_do_the_work_where_the_system_gives_no_further_one():
    given, may_end, done = [], threading.Event(), []

    def scarce(run, *, name):
        if given:
            raise RuntimeError("can't start new thread")
        given.append(start_thread(run, name=name))

    pool = DaemonPool(max_workers=2, start=scarce)
    pool.submit(may_end.wait, PATIENCE_S)
    pool.submit(done.append, 1)
    may_end.set()
    pool.shutdown()

    assert done == [1]
