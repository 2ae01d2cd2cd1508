"""A pool whose threads keep no process and whose size is bounded."""

from __future__ import annotations

import threading

import pytest

from precache.background.daemon_pool import DaemonPool

PATIENCE_S = 20


def test_work_is_done_by_daemons_and_its_result_or_error_handed_over():
    pool = DaemonPool(max_workers=2)

    assert pool.submit(lambda: threading.current_thread().daemon).result(PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(PATIENCE_S)


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
