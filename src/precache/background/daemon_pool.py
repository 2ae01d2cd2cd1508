"""A pool of daemon threads: a library that hangs while it waits for a broker must not delay the process's end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from precache.background.threads import complete_future, start_thread

P = ParamSpec("P")
T = TypeVar("T")

IDLE_S = 10.0
"""How long a thread waits for more work before it ends."""


class DaemonPool(Executor):
    """Runs functions in daemon threads, up to `max_workers` at once; further calls wait in a queue.

    Threads start when there is work and end after `IDLE_S` without work.
    start: starts a thread; raises RuntimeError if the system can start no further thread.
    """

    def __init__(self, max_workers: int, name: str = "pool", start: Callable[..., object] = start_thread) -> None:
        self._name, self._start = name, start
        self._max_workers = max_workers
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._workers = 0
        self._unfinished = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue the function; it runs in a copy of the caller's context, so that its log lines have the caller's ids.

        Raises RuntimeError if there is no thread and the system can start none.
        In that case the function is not run later, unlike in the pools of the standard library.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._unfinished >= self._workers and self._workers < self._max_workers:
                self._start_worker()
            self._unfinished += 1
            self._work.put((future, partial(copy_context().run, fn, *args, **kwargs)))
        return future

    def _start_worker(self) -> None:
        try:
            self._start(self._run, name=self._name)
        except RuntimeError:
            if not self._workers:
                raise
        else:
            self._workers += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait until all submitted work has ended. cancel_futures: drop work that has not begun."""
        with self._lock:
            with suppress(queue.Empty):
                while cancel_futures:
                    self._work.get_nowait()[0].cancel()
                    self._unfinished -= 1
            if wait:
                self._lock.wait_for(lambda: not self._unfinished)

    def _run(self) -> None:
        while True:
            try:
                future, work = self._work.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._work.empty():
                        self._workers -= 1
                        return
                continue
            complete_future(future, work)
            with self._lock:
                self._unfinished -= 1
                self._lock.notify_all()
