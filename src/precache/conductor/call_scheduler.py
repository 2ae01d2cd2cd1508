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
    host: Host
    by_swarm: bool


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

    There are turns of two kinds. Hosts that get their images by swarm load the image service no more than one host of
    their site does; so they take none of the usual turns, and the hosts of a site work at the same time also if there
    is only one usual turn.

    pool: of the threads that call hosts, with one for each turn. concurrency, swarm_concurrency: the most turns of
        each kind.
    needs_permits: hosts are called only with permits, which `PermitKeeper` gets.
    """

    def __init__(
        self, *, pool: DaemonPool, concurrency: int, swarm_concurrency: int = 0, needs_permits: bool = False
    ) -> None:
        self._pool = pool
        self.concurrency = concurrency
        self._most = {False: concurrency, True: swarm_concurrency}  # by whether it is for hosts by swarm
        self.needs_permits = needs_permits
        self.permit_news = PermitNews()
        self.with_permits: dict[HostDispatcher, None] = {}
        """The dispatchers that want permits or may hold some."""
        self._turns = {False: 0, True: 0}
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
                    self._turns[call.by_swarm] -= 1
                    call.dispatcher.undo(call.host)
                return

    def want_permits(self, dispatcher: HostDispatcher) -> None:
        """Have permits exchanged soon for the dispatcher. The caller holds the lock."""
        if self.needs_permits:
            self.with_permits.setdefault(dispatcher)
            self.permit_news.note_change()

    def room(self, *, by_swarm: bool) -> int:
        """Return for how many further hosts permits can be used. The caller holds the lock."""
        permitted = sum(each.permitted(by_swarm=by_swarm) for each in self.with_permits)
        return self._most[by_swarm] - self._turns[by_swarm] - permitted

    def _begin(self) -> _Call | None:
        with self.lock:
            return self._take()

    def _take(self) -> _Call | None:
        """Return the next call, which has taken its turn; None if no turn is free, or no host may be called."""
        for by_swarm in (False, True):
            call = self._take_kind(by_swarm) if self._turns[by_swarm] < self._most[by_swarm] else None
            if call is not None:
                self._turns[by_swarm] += 1
                return call
        return None

    def _take_kind(self, by_swarm: bool) -> _Call | None:
        by_share = sorted(self._dispatchers, key=lambda each: (-each.priority, each.calls(by_swarm=by_swarm)))
        for dispatcher in by_share:
            taken = dispatcher.take(by_swarm=by_swarm)
            if taken is not None:
                del self._dispatchers[dispatcher]
                self._dispatchers[dispatcher] = None
                return _Call(dispatcher, taken, by_swarm)
        return None

    def _work(self, call: _Call) -> None:
        """Call hosts in this thread until none may be called."""
        following: _Call | None = call
        while following is not None:
            call = following
            call.dispatcher.call(call.host)
            with self.lock:
                is_idle = call.dispatcher.end(call.host)
                if self.needs_permits:
                    self.permit_news.note_end()
                self._turns[call.by_swarm] -= 1
                following = self._take()
                is_full = all(self._turns[kind] >= most for kind, most in self._most.items())
            if is_idle:
                call.dispatcher.on_idle()
            # The end of the call may let more hosts be called than this thread can.
            if not is_full:
                self.fill()
