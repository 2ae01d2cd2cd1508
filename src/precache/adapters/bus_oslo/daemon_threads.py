"""Threads for what may hang: a library that waits for a broker cannot be interrupted, and must not keep a process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

IDLE_S = 10.0
"""How long a thread waits for more work before it ends."""


class DaemonThreads:
    """Runs functions in daemon threads, up to `max_workers` at once; what is beyond waits. No process waits for them.

    Has as much of an Executor as oslo.messaging uses.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._workers = 0
        self._unfinished = 0

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._unfinished >= self._workers and self._workers < self._max_workers:
                self._start_worker()
            self._unfinished += 1
            self._work.put(lambda: _settle(future, function, args, kwargs))
        return future

    def _start_worker(self) -> None:
        """Raises RuntimeError if the system has no thread to give and there is none yet that would do the work."""
        try:
            threading.Thread(target=self._run, name="bus-work", daemon=True).start()
        except RuntimeError:
            if not self._workers:
                raise
        else:
            self._workers += 1

    def shutdown(self, wait: bool = True) -> None:
        """Wait until all that was submitted is done."""
        with self._lock:
            if wait:
                self._lock.wait_for(lambda: not self._unfinished)

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._work.empty():
                        self._workers -= 1
                        return
                continue
            work()
            with self._lock:
                self._unfinished -= 1
                self._lock.notify_all()


def _settle(future: Future[Any], function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001  it belongs to whoever holds the future
        future.set_exception(error)


def run_within(seconds: float, action: Callable[[], Any], name: str) -> bool:
    """Run the action in a thread of its own and wait for it that long; False if it goes on without us."""
    thread = threading.Thread(target=action, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
