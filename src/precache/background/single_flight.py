"""One call at a time, whose result all concurrent callers share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from precache.background.observer import observed
from precache.background.threads import call_in_thread

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls `function` in a thread of its own. Callers that arrive while it runs wait for the same result.

    So a service that does not answer occupies one thread, however many callers there are.
    """

    def __init__(self, function: Callable[[], T], *, name: str) -> None:
        self._function, self._name = function, name
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def __call__(self, timeout_s: float | None = None) -> T:
        """Return the result. Raises what `function` raises; TimeoutError after `timeout_s`, but the call continues.

        timeout_s: None if the call itself has a time limit.
        """
        with self._lock:
            if self._under_way is None:
                self._under_way = call_in_thread(self._call, name=self._name)
            under_way = self._under_way
        return under_way.result(timeout_s)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until no call is running. Raises nothing."""
        with self._lock:
            under_way = self._under_way
        if under_way is not None:
            under_way.exception(timeout_s)

    def _call(self) -> T:
        try:
            with observed(self._name):
                return self._function()
        finally:
            # Removed before the result is set: a caller that has the result and calls again starts a new call.
            with self._lock:
                self._under_way = None
