"""One call at a time, shared by all who ask for it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from precache.background.observer import observed
from precache.background.threads import call_in_thread

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calls `function` in a thread of its own. Callers that come while it runs wait for the same result.

    So a part that does not answer holds one thread, however often it is asked.
    """

    def __init__(self, function: Callable[[], T], *, name: str) -> None:
        self._function, self._name = function, name
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    def __call__(self, timeout_s: float) -> T:
        """Return the result. Raises what `function` raises; TimeoutError after `timeout_s`, while the call goes on."""
        with self._lock:
            if self._under_way is None:
                self._under_way = call_in_thread(self._call, name=self._name)
            under_way = self._under_way
        return under_way.result(timeout_s)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until no call is under way. Raises nothing."""
        with self._lock:
            under_way = self._under_way
        if under_way is not None:
            under_way.exception(timeout_s)

    def _call(self) -> T:
        try:
            with observed(self._name):
                return self._function()
        finally:
            # Forgotten before the result is known: a caller that has it and asks again gets a new call.
            with self._lock:
                self._under_way = None
