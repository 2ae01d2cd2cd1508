"""Calls the hosts of one job with threads of the pool that all jobs share."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from precache.background.daemon_pool import DaemonPool
from precache.core.hosts import Host
from precache.rules.fan_out import FanOut


class HostDispatcher:
    """Calls one host per turn. After a turn, the next one is queued in the pool behind those of other jobs.

    So a single job has the whole pool, several jobs have equal shares, and thousands of hosts wait in a list instead of
    the pool. Thread-safe.

    ask: calls a host, in a thread of the pool; must not raise.
    on_idle: called when no turn is left: all hosts were called, or `pause` was called.
    width: the most turns of one job at a time; as many as the pool has threads.
    """

    def __init__(
        self,
        *,
        hosts: FanOut,
        ask: Callable[[Host], None],
        on_idle: Callable[[], None],
        pool: DaemonPool,
        width: int,
    ) -> None:
        self._hosts = hosts
        self._ask = ask
        self._on_idle = on_idle
        self._pool = pool
        self._width = width
        self._turns = 0
        self._in_progress: dict[str, str] = {}
        self._is_paused = False
        self._lock = Lock()

    @property
    def is_idle(self) -> bool:
        """Return whether no host is being called or will be called, unless `resume` is called."""
        return self._turns == 0

    def resume(self) -> None:
        """Call the hosts until none is left. Do nothing if this is in progress."""
        with self._lock:
            self._is_paused = False
            turns = max(0, min(self._width - self._turns, len(self._hosts)))
            self._turns += turns
        for _ in range(turns):
            self._queue_up()

    def pause(self) -> None:
        """Call no further host until `resume` is called. Calls that have begun continue."""
        with self._lock:
            self._is_paused = True

    @property
    def has_hosts_left(self) -> bool:
        """Return whether there are hosts that no turn has taken."""
        with self._lock:
            return len(self._hosts) > 0

    def in_progress(self) -> dict[str, str]:
        """Return the hosts that are being called, each with its cell; `pause` prevents further ones."""
        with self._lock:
            return dict(self._in_progress)

    def _queue_up(self) -> None:
        try:
            self._pool.submit(self._take_turn)
        except RuntimeError:  # the system can start no further thread
            self._end_turn()

    def _take_turn(self) -> None:
        with self._lock:
            taken = None if self._is_paused else self._hosts.take()
            if taken is not None:
                self._in_progress[taken[1].name] = taken[0]
        if taken is None:
            self._end_turn()
            return
        cell, host = taken
        self._ask(host)
        with self._lock:
            self._hosts.ended(cell)
            del self._in_progress[host.name]
        self._queue_up()

    def _end_turn(self) -> None:
        with self._lock:
            self._turns -= 1
            is_last = self._turns == 0
        if is_last:
            self._on_idle()
