"""Calls the hosts of one job, when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context

from precache.background.cancel_token import CancelToken
from precache.conductor.call_scheduler import CallScheduler
from precache.core.host_calls import HostCall, JobCalls, Place
from precache.core.hosts import Host
from precache.core.job_options import DEFAULT_JOB_OPTIONS
from precache.core.jobs import Claim
from precache.rules.excess_calls import excess_calls
from precache.rules.fan_out import FanOut


class HostDispatcher:
    """Calls the hosts of one job in its turns. So thousands of hosts wait in a list instead of the pool. Thread-safe.

    claim: of the job. stop: cancelled when another conductor continues the job, which then gets its permits.
    ask: calls a host, in a thread of the scheduler's pool, with the context of the thread that made this object; must
        not raise.
    on_idle: called when the last call has ended and no host is left, or `pause` was called.
    """

    def __init__(
        self,
        *,
        claim: Claim,
        stop: CancelToken,
        hosts: FanOut,
        ask: Callable[[Host], None],
        on_idle: Callable[[], None],
        scheduler: CallScheduler,
    ) -> None:
        self.claim = claim
        self._stop = stop
        self.on_idle = on_idle
        self.priority = DEFAULT_JOB_OPTIONS.priority
        self._hosts = hosts
        self._ask = ask
        self._scheduler = scheduler
        self._context = copy_context()  # so that log lines have the ids of the job
        self._parallelism: int | None = None
        self._in_progress: dict[str, tuple[str, Host]] = {}
        self._permitted: dict[str, HostCall] = {}  # with a permit, but not called yet
        # Permits that arrived while this was paused: an earlier conductor may have called these hosts.
        self._kept: list[HostCall] = []
        self._is_closed = False
        self._is_paused = True

    @property
    def is_idle(self) -> bool:
        """Return whether no host is being called or will be called, unless `add` or `resume` is called."""
        with self._scheduler.lock:
            return self._is_idle()

    def resume(self) -> None:
        """Call the hosts until none is left. Do nothing if this is in progress."""
        with self._scheduler.lock:
            if self._is_paused:
                self._is_paused = False
                self._scheduler.join(self)
                kept, self._kept = self._kept, []
                self.permit(kept)
        self._scheduler.fill()

    def pause(self) -> None:
        """Call no further host until `resume` is called. Calls that have begun continue."""
        with self._scheduler.lock:
            self._is_paused = True
            self._scheduler.leave(self)
            self._return_unused()
            self._scheduler.want_permits(self)

    def close(self) -> None:
        """Return the permits of all calls that have ended, also those of earlier conductors."""
        with self._scheduler.lock:
            self._is_closed = True
            self._kept.clear()
            self._scheduler.want_permits(self)

    def abandon(self) -> None:
        """Leave the permits to the next conductor of the job, whose hosts go on."""
        with self._scheduler.lock:
            self._scheduler.with_permits.pop(self, None)

    def add(self, by_cell: Mapping[str, Iterable[Host]]) -> None:
        """Call these hosts, too, after those that wait."""
        with self._scheduler.lock:
            before = len(self._hosts)
            self._hosts.add(by_cell)
            if len(self._hosts) > before:
                self._scheduler.want_permits(self)
        self._scheduler.fill()

    def change(self, *, priority: int, parallelism: int | None, parallelism_per_site: int | None) -> None:
        """Use other options for the calls that have not begun.

        parallelism, parallelism_per_site: the most hosts of the job, and of one site, that are called at a time; None
        for as many as there are turns.
        """
        with self._scheduler.lock:
            self._return_unused()
            self.priority = priority
            self._parallelism = parallelism
            self._hosts.most_per_site = parallelism_per_site
        self._scheduler.fill()

    @property
    def hosts_left(self) -> int:
        """Return the number of hosts that no turn has taken."""
        with self._scheduler.lock:
            return len(self._hosts)

    def most_at_once(self, later: Iterable[Host]) -> int:
        """Return how many hosts the limit of each site lets be called at once. later: hosts that will be added."""
        with self._scheduler.lock:
            return self._hosts.most_at_once(later)

    def in_progress(self) -> dict[str, str]:
        """Return the hosts that are being called, each with its cell; `pause` prevents further ones."""
        with self._scheduler.lock:
            return {name: cell for name, (cell, _) in self._in_progress.items()}

    def excess(self) -> dict[str, str]:
        """Return the hosts that are being called beyond the limits of the job, each with its cell."""
        with self._scheduler.lock:
            calls = excess_calls(
                self._in_progress.values(), most=self._parallelism, most_per_site=self._hosts.most_per_site
            )
        return {host.name: cell for cell, host in calls}

    # For the scheduler. It holds the lock, except for `call`.

    @property
    def calls(self) -> int:
        """Return how many hosts are being called."""
        return len(self._in_progress)

    def take(self) -> tuple[str, Host] | None:
        """Return the next cell and host to call; None if none may be called now."""
        if self._parallelism is not None and self.calls >= self._parallelism:
            return None
        taken = self._take_permitted() if self._scheduler.needs_permits else self._hosts.take()
        if taken is not None:
            self._in_progress[taken[1].name] = taken
        return taken

    def _take_permitted(self) -> tuple[str, Host] | None:
        for name, call in self._permitted.items():
            taken = self._hosts.take_host(call.place.cell, call.place.site, name)
            if taken is not None:
                del self._permitted[name]
                return taken
        return None

    def call(self, host: Host) -> None:
        self._context.copy().run(self._ask, host)

    def end(self, cell: str, host: Host) -> bool:
        """Record that the call has ended; return whether the job is idle now."""
        self._hosts.ended(cell, host)
        del self._in_progress[host.name]
        return self._is_idle()

    def undo(self, cell: str, host: Host) -> None:
        """Undo `take`."""
        self._hosts.put_back(cell, host)
        del self._in_progress[host.name]
        if self._scheduler.needs_permits:
            self._permitted[host.name] = _host_call(cell, host)

    # For the keeper of permits. It holds the lock of the scheduler.

    @property
    def permitted(self) -> int:
        """Return how many hosts have a permit and are not called yet."""
        return len(self._permitted)

    @property
    def has_no_calls(self) -> bool:
        """Return whether the job calls no host and will call none, unless `add` or `resume` is called."""
        return self._is_idle()

    @property
    def is_stopped(self) -> bool:
        """Return whether another conductor continues the job: its permits must stay as they are, for that one."""
        return self._stop.is_cancelled

    def permit_calls(self, room: int) -> JobCalls:
        """Return the permits that the job holds and wants. room: for how many further hosts they can be used."""
        held = [_host_call(cell, host) for cell, host in self._in_progress.values()]
        waiting = () if self._is_paused else self._hosts.first_of_each_site(max(0, room) + self.permitted)
        return JobCalls(
            self.claim,
            self.priority,
            (*held, *self._permitted.values(), *self._kept),
            tuple(_host_call(cell, host) for cell, host in waiting if host.name not in self._permitted),
            self._parallelism,
            self._hosts.most_per_site,
            max(0, room),
        )

    def permit(self, calls: Iterable[HostCall]) -> None:
        """Take these permits. What the job does not need, such as that of a host that has ended, is returned next."""
        for call in calls:
            if not self._is_paused and self._hosts.waits(call.place.cell, call.place.site, call.host):
                self._permitted[call.host] = call
            elif self._is_paused and not self._is_closed:
                self._kept.append(call)
            else:
                self._scheduler.permit_news.note_change()

    def _return_unused(self) -> None:
        self._permitted.clear()
        self._scheduler.permit_news.note_change()

    def _is_idle(self) -> bool:
        return not self._in_progress and (self._is_paused or not len(self._hosts))


def _host_call(cell: str, host: Host) -> HostCall:
    return HostCall(host.name, Place(cell, host.site))
