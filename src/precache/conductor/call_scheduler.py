"""Shares the calls of a conductor among its jobs, by priority."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event, Lock
from typing import TYPE_CHECKING

from precache.background.daemon_pool import DaemonPool
from precache.core.hosts import Host

if TYPE_CHECKING:
    from precache.conductor.host_dispatcher import HostDispatcher


@dataclass(frozen=True, slots=True)
class _Call:
    dispatcher: HostDispatcher
    cell: str
    host: Host


class PermitNews:
    """What has changed since the last exchange of permits. The lock of the scheduler guards it, except for `woken`.

    returned: how many calls have ended. is_urgent: a job wants or returns permits for another reason.
    """

    def __init__(self) -> None:
        self.woken = Event()
        self.returned = 0
        self.is_urgent = False

    def note_end(self) -> None:
        self.returned += 1
        self.woken.set()

    def note_change(self) -> None:
        self.is_urgent = True
        self.woken.set()

    def clear(self) -> None:
        self.returned, self.is_urgent = 0, False


class CallScheduler:
    """Decides which job calls its next host whenever a turn is free. One object serves all jobs; thread-safe.

    A turn goes to the job with the highest priority that has a host to call. Among equals it is the job with the fewest
    running calls, and then the one that had no turn for the longest time. So a single job has all turns, and jobs of
    one priority have equal shares. A call that has begun is never interrupted: a job with a higher priority waits for
    one call at most.

    pool: of the threads that call hosts. concurrency: the number of its threads, which is the most turns.
    needs_permits: hosts are called only with permits, which `PermitKeeper` gets.
    """

    def __init__(self, *, pool: DaemonPool, concurrency: int, needs_permits: bool = False) -> None:
        self._pool = pool
        self.concurrency = concurrency
        self.needs_permits = needs_permits
        self.permit_news = PermitNews()
        self.with_permits: dict[HostDispatcher, None] = {}
        """The dispatchers that want permits or may hold some."""
        self._turns = 0
        self._dispatchers: dict[HostDispatcher, None] = {}  # the one that had no turn for the longest time is the first
        self.lock = Lock()
        """Guards this object and its dispatchers."""

    def join(self, dispatcher: HostDispatcher) -> None:
        """Let the dispatcher take turns until `leave`. The caller holds the lock, and calls `fill` afterwards."""
        self._dispatchers.setdefault(dispatcher)
        self.want_permits(dispatcher)

    def leave(self, dispatcher: HostDispatcher) -> None:
        """Let the dispatcher take no further turn. The caller holds the lock."""
        self._dispatchers.pop(dispatcher, None)

    def fill(self) -> None:
        """Start calls until no turn is free, or no host may be called. Call it after every change."""
        while (call := self._begin()) is not None:
            try:
                self._pool.submit(self._work, call)
            except RuntimeError:  # the system can start no further thread; the dispatcher tries again
                with self.lock:
                    self._turns -= 1
                    call.dispatcher.undo(call.cell, call.host)
                return

    def want_permits(self, dispatcher: HostDispatcher) -> None:
        """Have permits exchanged soon for the dispatcher. The caller holds the lock."""
        if self.needs_permits:
            self.with_permits.setdefault(dispatcher)
            self.permit_news.note_change()

    @property
    def room(self) -> int:
        """Return for how many further hosts permits can be used. The caller holds the lock."""
        return self.concurrency - self._turns - sum(each.permitted for each in self.with_permits)

    def _begin(self) -> _Call | None:
        with self.lock:
            call = self._take() if self._turns < self.concurrency else None
            self._turns += call is not None
            return call

    def _take(self) -> _Call | None:
        for dispatcher in sorted(self._dispatchers, key=lambda each: (-each.priority, each.calls)):
            taken = dispatcher.take()
            if taken is not None:
                del self._dispatchers[dispatcher]
                self._dispatchers[dispatcher] = None
                return _Call(dispatcher, *taken)
        return None

    def _work(self, call: _Call) -> None:
        """Call hosts in this thread until none may be called."""
        following: _Call | None = call
        while following is not None:
            call = following
            call.dispatcher.call(call.host)
            with self.lock:
                is_idle = call.dispatcher.end(call.cell, call.host)
                if self.needs_permits:
                    self.permit_news.note_end()
                following = self._take()
                self._turns -= following is None
                is_full = self._turns >= self.concurrency
            if is_idle:
                call.dispatcher.on_idle()
            # The end of the call may let more hosts be called than this thread can.
            if not is_full:
                self.fill()
