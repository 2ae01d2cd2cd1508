"""How many further hosts each job may call, so that the limits over all jobs and conductors are kept.

Every conductor decides by this rule from the same shared state, one after another. It takes what the rule gives to its
own jobs, and leaves what the rule gives to the jobs of other conductors.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from precache.core.host_calls import CallLimits, Place, Wish


@dataclass(frozen=True, slots=True)
class JobShare:
    """One job in the shared state.

    owner: its conductor. held: its permits, by place.
    wish: None if it wants no further host.
    last_grant: when it got its last permit; a number that grows over all jobs.
    """

    job: str
    owner: str
    priority: int
    held: Counter[Place]
    wish: Wish | None
    last_grant: int = 0


def share_calls(jobs: Sequence[JobShare], limits: CallLimits) -> dict[str, list[Place]]:
    """Return for each job where it may call further hosts, in the order in which the permits were given.

    One permit after another goes to the job with the highest priority that can use it; among equals to the one with the
    fewest permits, and then to the one that got none for the longest time. Within the job it is for the site where it
    has the fewest. When nothing is left to give, every wish that remains is blocked by a limit, by the options of its
    job, or by the room of its conductor. A permit is never taken back: held ones may exceed a limit that was lowered.
    """
    room = _Room(jobs, limits)
    given: dict[str, list[Place]] = {job.job: [] for job in jobs}
    newest = max((job.last_grant for job in jobs), default=0)
    queue = [
        (-job.priority, job.held.total(), job.last_grant, number, _Places(job, job.wish))
        for number, job in enumerate(jobs)
        if job.wish is not None
    ]
    heapq.heapify(queue)
    while queue:
        priority, calls, _, number, places = heapq.heappop(queue)
        place = places.take(room)
        if place is None:
            continue  # Room never grows here, so this job can get nothing more.
        newest += 1
        given[jobs[number].job].append(place)
        heapq.heappush(queue, (priority, calls + 1, newest, number, places))
    return given


class _Room:
    """What is left of the limits, and of the room of each conductor."""

    def __init__(self, jobs: Iterable[JobShare], limits: CallLimits) -> None:
        self._limits = limits
        self._all = 0
        self._by_cell: Counter[str] = Counter()
        self._by_site: Counter[str] = Counter()
        self._by_owner: dict[tuple[str, bool], int] = {}
        for job in jobs:
            for place, count in job.held.items():
                self._count(place, count)
            if job.wish is not None:
                for by_swarm, room in ((False, job.wish.room), (True, job.wish.swarm_room)):
                    self._by_owner[job.owner, by_swarm] = min(room, self._by_owner.get((job.owner, by_swarm), room))

    def has(self, place: Place) -> bool:
        limits = self._limits
        return (not limits.hosts_per_cell or self._by_cell[place.cell] < limits.hosts_per_cell) and (
            not limits.hosts_per_site or self._by_site[place.site] < limits.hosts_per_site
        )

    @property
    def is_used_up(self) -> bool:
        return bool(self._limits.hosts) and self._all >= self._limits.hosts

    def has_for(self, owner: str, by_swarm: bool) -> bool:
        return self._by_owner[owner, by_swarm] > 0

    def use(self, owner: str, by_swarm: bool, place: Place) -> None:
        self._by_owner[owner, by_swarm] -= 1
        self._count(place, 1)

    def _count(self, place: Place, count: int) -> None:
        self._all += count
        self._by_cell[place.cell] += count
        self._by_site[place.site] += count


class _Places:
    """The places where one job wants to call hosts."""

    def __init__(self, job: JobShare, wish: Wish) -> None:
        self._owner = job.owner
        self._wish = wish
        self._calls = job.held.total()
        self._by_site: Counter[str] = Counter()
        for place, count in job.held.items():
            self._by_site[place.site] += count
        self._wanted = {
            (place, by_swarm): count
            for by_swarm, hosts in ((False, wish.hosts), (True, wish.swarm_hosts))
            for place, count in hosts.items()
        }
        self._queue = [
            (self._by_site[place.site], number, place, by_swarm)
            for number, ((place, by_swarm), count) in enumerate(self._wanted.items())
            if count > 0
        ]
        heapq.heapify(self._queue)

    def take(self, room: _Room) -> Place | None:
        """Return the next place, and use up its room; None if no place has room."""
        if room.is_used_up or (self._wish.most is not None and self._calls >= self._wish.most):
            return None
        most = self._wish.most_per_site
        while self._queue:
            calls, number, place, by_swarm = heapq.heappop(self._queue)
            if calls < self._by_site[place.site]:  # another place of the site, in another cell, was taken meanwhile
                heapq.heappush(self._queue, (self._by_site[place.site], number, place, by_swarm))
                continue
            if not room.has_for(self._owner, by_swarm) or not room.has(place) or (most is not None and calls >= most):
                continue
            room.use(self._owner, by_swarm, place)
            self._calls += 1
            self._by_site[place.site] += 1
            self._wanted[place, by_swarm] -= 1
            if self._wanted[place, by_swarm] > 0:
                # Behind the other places with as many calls.
                number += len(self._wanted)
                heapq.heappush(self._queue, (self._by_site[place.site], number, place, by_swarm))
            return place
        return None
