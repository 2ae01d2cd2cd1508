"""The token that tells running work to stop, and the reason."""

from __future__ import annotations

from threading import Event, Lock
from weakref import WeakSet

from precache.core.errors import Stopped
from precache.core.stopping import StopReason


class CancelToken:
    """A token that is cancelled at most once, with a reason. Thread-safe.

    A child is cancelled with its parent. The parent's reason takes precedence over the child's own: a job that is
    cancelled while its process ends is left to the next process.
    """

    def __init__(self, parent: CancelToken | None = None) -> None:
        self._parent = parent
        self._own_reason: StopReason | None = None
        self._children: WeakSet[CancelToken] = WeakSet()
        self._lock = Lock()
        self._cancelled = Event()
        if parent is not None:
            parent._adopt(self)

    def child(self) -> CancelToken:
        return CancelToken(self)

    def cancel(self, reason: StopReason) -> None:
        """Cancel this token and its children. Only the first reason is kept."""
        with self._lock:
            self._own_reason = self._own_reason or reason
        self._spread()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def reason(self) -> StopReason | None:
        """Return the reason; None if it is not cancelled."""
        return (self._parent.reason if self._parent is not None else None) or self._own_reason

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is cancelled or the time is over; return whether it is cancelled."""
        return self._cancelled.wait(timeout_s)

    def check(self, what: str) -> None:
        """Raise Stopped with the reason if it is cancelled. what: the name of the work, as the start of a sentence."""
        if self.is_cancelled:
            raise Stopped(what, self.reason or StopReason.ABANDONED)

    def _adopt(self, child: CancelToken) -> None:
        with self._lock:
            self._children.add(child)
        if self.is_cancelled:
            child._spread()

    def _spread(self) -> None:
        with self._lock:
            self._cancelled.set()
            children = list(self._children)
        for child in children:
            child._spread()
