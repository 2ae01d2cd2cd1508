"""A pool of threads for work that may hang: a library that waits for a broker must not keep a process from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from precache.background.threads import settle, start_thread

IDLE_S = 10.0
"""How long a thread waits for more work before it ends."""


class DaemonPool:
    """Runs functions in daemon threads, up to `max_workers` at once; more wait in a queue.

    Threads start when there is work and end when there has been none for a while. Has as much of an Executor as
    oslo.messaging uses.
    """

    def __init__(self, max_workers: int, name: str = "pool") -> None:
        self._name = name
        self._max_workers = max_workers
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._workers = 0
        self._unfinished = 0

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the function soon. Raises RuntimeError if there is no thread and the system has none to give."""
        future: Future[Any] = Future()
        with self._lock:
            if self._unfinished >= self._workers and self._workers < self._max_workers:
                self._start_worker()
            self._unfinished += 1
            self._work.put(partial(settle, future, partial(function, *args, **kwargs)))
        return future

    def _start_worker(self) -> None:
        try:
            start_thread(self._run, name=self._name)
        except RuntimeError:
            if not self._workers:
                raise
        else:
            self._workers += 1

    def shutdown(self, wait: bool = True) -> None:
        """Wait until all submitted work is done."""
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
