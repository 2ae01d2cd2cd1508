"""Daemon threads. Every function raises RuntimeError if the system can start no further thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from precache.background.log_exceptions import log_exceptions

T = TypeVar("T")


def start_thread(run: Callable[[], object], *, name: str) -> threading.Thread:
    """Start a daemon thread for `run`, and return it. An exception from `run` ends the process: see `dead_threads`."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def call_in_thread(function: Callable[[], T], *, name: str) -> Future[T]:
    """Call `function` in a thread of its own; return the future of its result."""
    future: Future[T] = Future()
    start_thread(lambda: complete_future(future, function), name=name)
    return future


def run_within(seconds: float, action: Callable[[], object], *, name: str, what: str, of: str) -> bool:
    """Run `action` in a thread of its own and wait at most that long; return False if it still runs.

    Its failure is logged. what, of: as of `log_exceptions`.
    """

    def run() -> None:
        with log_exceptions(what=what, of=of):
            action()

    thread = start_thread(run, name=name)
    thread.join(seconds)
    return not thread.is_alive()


def complete_future(future: Future[T], function: Callable[[], T]) -> None:
    """Call `function` and store its result or error in `future`, unless the future was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  raised again where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)
