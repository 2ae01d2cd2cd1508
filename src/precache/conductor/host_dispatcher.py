"""Calls the hosts of one job, when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field

from precache.background.cancel_token import CancelToken
from precache.conductor.call_scheduler import CallScheduler
from precache.core.host_calls import HostCall, JobCalls, Place
from precache.core.hosts import Host
from precache.core.job_options import DEFAULT_JOB_OPTIONS
from precache.core.jobs import Claim
from precache.rules.excess_calls import excess_calls
from precache.rules.fan_out import FanOut


@dataclass(slots=True)
class _Kind:
    """The hosts of the job that take turns of one kind.

    calls: how many are being called. permitted: those with a permit that are not called yet, by name.
    """

    hosts: FanOut
    calls: int = 0
    permitted: dict[str, HostCall] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Called:
    cell: str
    host: Host
    kind: _Kind


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
        ask: Callable[[Host], None],
        on_idle: Callable[[], None],
        scheduler: CallScheduler,
    ) -> None:
        self.claim = claim
        self._stop = stop
        self.on_idle = on_idle
        self.priority = DEFAULT_JOB_OPTIONS.priority
        direct = FanOut({})
        self._kinds = {False: _Kind(direct), True: _Kind(FanOut({}, beside=direct))}  # by whether it is by swarm
        self._ask = ask
        self._scheduler = scheduler
        self._context = copy_context()  # so that log lines have the ids of the job
        self._parallelism: int | None = None
        self._in_progress: dict[str, _Called] = {}
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

    def add(self, by_cell: Mapping[str, Iterable[Host]], by_swarm: Collection[str] = ()) -> None:
        """Call these hosts, too, after those that wait. by_swarm: the names of those that get their images so."""
        with self._scheduler.lock:
            before = self._waiting()
            for is_swarm, kind in self._kinds.items():
                kind.hosts.add(
                    {
                        cell: [host for host in hosts if (host.name in by_swarm) is is_swarm]
                        for cell, hosts in by_cell.items()
                    }
                )
            if self._waiting() > before:
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
            for kind in self._kinds.values():
                kind.hosts.most_per_site = parallelism_per_site
        self._scheduler.fill()

    @property
    def hosts_left(self) -> int:
        """Return the number of hosts that no turn has taken."""
        with self._scheduler.lock:
            return self._waiting()

    def most_at_once(self, later: Iterable[Host]) -> int:
        """Return how many hosts the limit of each site lets be called at once, without those by swarm.

        later: hosts that will be added.
        """
        with self._scheduler.lock:
            return self._kinds[False].hosts.most_at_once(later)

    def swarm_places(self) -> set[tuple[str, str]]:
        """Return the cells and sites with hosts by swarm that wait, or are being called."""
        with self._scheduler.lock:
            return self._kinds[True].hosts.places()

    def in_progress(self) -> dict[str, str]:
        """Return the hosts that are being called, each with its cell; `pause` prevents further ones."""
        with self._scheduler.lock:
            return {name: called.cell for name, called in self._in_progress.items()}

    def excess(self) -> dict[str, str]:
        """Return the hosts that are being called beyond the limits of the job, each with its cell."""
        with self._scheduler.lock:
            calls = excess_calls(
                ((called.cell, called.host) for called in self._in_progress.values()),
                most=self._parallelism,
                most_per_site=self._most_per_site,
            )
        return {host.name: cell for cell, host in calls}

    # For the scheduler. It holds the lock, except for `call`.

    def calls(self, *, by_swarm: bool) -> int:
        """Return how many hosts are being called in turns of this kind."""
        return self._kinds[by_swarm].calls

    def take(self, *, by_swarm: bool) -> Host | None:
        """Return the next host to call in a turn of this kind; None if none may be called now."""
        if self._parallelism is not None and len(self._in_progress) >= self._parallelism:
            return None
        kind = self._kinds[by_swarm]
        taken = self._take_permitted(kind) if self._scheduler.needs_permits else kind.hosts.take()
        if taken is None:
            return None
        cell, host = taken
        self._in_progress[host.name] = _Called(cell, host, kind)
        kind.calls += 1
        return host

    def _take_permitted(self, kind: _Kind) -> tuple[str, Host] | None:
        for name, call in kind.permitted.items():
            taken = kind.hosts.take_host(call.place.cell, call.place.site, name)
            if taken is not None:
                del kind.permitted[name]
                return taken
        return None

    def call(self, host: Host) -> None:
        self._context.copy().run(self._ask, host)

    def end(self, host: Host) -> bool:
        """Record that the call has ended; return whether the job is idle now."""
        called = self._in_progress.pop(host.name)
        called.kind.hosts.ended(called.cell, host)
        called.kind.calls -= 1
        return self._is_idle()

    def undo(self, host: Host) -> None:
        """Undo `take`."""
        called = self._in_progress.pop(host.name)
        called.kind.hosts.put_back(called.cell, host)
        called.kind.calls -= 1
        if self._scheduler.needs_permits:
            called.kind.permitted[host.name] = _host_call(called.cell, host)

    # For the keeper of permits. It holds the lock of the scheduler.

    def permitted(self, *, by_swarm: bool) -> int:
        """Return how many hosts of this kind have a permit and are not called yet."""
        return len(self._kinds[by_swarm].permitted)

    @property
    def has_no_calls(self) -> bool:
        """Return whether the job calls no host and will call none, unless `add` or `resume` is called."""
        return self._is_idle()

    @property
    def is_stopped(self) -> bool:
        """Return whether another conductor continues the job: its permits must stay as they are, for that one."""
        return self._stop.is_cancelled

    def permit_calls(self, room: int, swarm_room: int) -> JobCalls:
        """Return the permits that the job holds and wants. room, swarm_room: for how many further hosts of either kind
        they can be used.
        """
        in_progress = [_host_call(called.cell, called.host) for called in self._in_progress.values()]
        permitted = [call for kind in self._kinds.values() for call in kind.permitted.values()]
        return JobCalls(
            self.claim,
            self.priority,
            (*in_progress, *permitted, *self._kept),
            self._wanted(self._kinds[False], room),
            self._parallelism,
            self._most_per_site,
            max(0, room),
            self._wanted(self._kinds[True], swarm_room),
            max(0, swarm_room),
        )

    def _wanted(self, kind: _Kind, room: int) -> tuple[HostCall, ...]:
        if self._is_paused:
            return ()
        waiting = kind.hosts.first_of_each_site(max(0, room) + len(kind.permitted))
        return tuple(_host_call(cell, host) for cell, host in waiting if host.name not in kind.permitted)

    def permit(self, calls: Iterable[HostCall]) -> None:
        """Take these permits. What the job does not need, such as that of a host that has ended, is returned next."""
        for call in calls:
            kind = None if self._is_paused else self._kind_of(call)
            if kind is not None:
                kind.permitted[call.host] = call
            elif self._is_paused and not self._is_closed:
                self._kept.append(call)
            else:
                self._scheduler.permit_news.note_change()

    def _kind_of(self, call: HostCall) -> _Kind | None:
        """Return the kind of the host; None if it does not wait."""
        place = call.place
        kinds = self._kinds.values()
        return next((kind for kind in kinds if kind.hosts.waits(place.cell, place.site, call.host)), None)

    def _return_unused(self) -> None:
        for kind in self._kinds.values():
            kind.permitted.clear()
        self._scheduler.permit_news.note_change()

    @property
    def _most_per_site(self) -> int | None:
        return self._kinds[False].hosts.most_per_site

    def _waiting(self) -> int:
        return sum(len(kind.hosts) for kind in self._kinds.values())

    def _is_idle(self) -> bool:
        return not self._in_progress and (self._is_paused or not self._waiting())


def _host_call(cell: str, host: Host) -> HostCall:
    return HostCall(host.name, Place(cell, host.site))
