"""What becomes of the shared state of permits when a conductor says what its jobs hold and want."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from precache.core.host_calls import CallLimits, HostCall, JobCalls, Place, Wish
from precache.core.jobs import Claim
from precache.rules.call_shares import JobShare, share_calls

WISH_TIME = timedelta(seconds=5)
"""How long a wish counts after its conductor's last exchange. A conductor with a wish has two exchanges a second."""

SHORTEST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 0.5
MANY = 0.25


@dataclass(frozen=True, slots=True)
class StoredCalls:
    """The permits of one job in the shared state.

    claim: under which they were stored.
    wish: None if the job wants no further host, or its conductor may be dead. last_grant: as in `JobShare`.
    """

    claim: Claim
    priority: int
    held: tuple[HostCall, ...] = ()
    wish: Wish | None = None
    last_grant: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.held and self.wish is None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The new state of the caller's jobs, and the hosts for which each has new permits."""

    stored: tuple[StoredCalls, ...]
    given: Mapping[Claim, tuple[HostCall, ...]]


def pause_before_exchange_s(returned: int, held: int, *, is_urgent: bool, is_waiting: bool) -> float | None:
    """Return how long after an exchange the next one begins; None if there is no reason for one.

    returned, held: the permits that the conductor has returned since then, and those that it held then.
    is_urgent: a job wants more, or less, than it did then. is_waiting: a job did not get all it could have used.
    Many hosts share one exchange, but soon after a few long calls have ended the next ones begin.
    """
    if is_urgent or (returned and returned >= MANY * held):
        return SHORTEST_PAUSE_S
    return LONGEST_PAUSE_S if returned or is_waiting else None


def exchange_permits(
    stored: Sequence[StoredCalls],
    calls: Sequence[JobCalls],
    running: Collection[Claim],
    ended: Collection[Claim],
    limits: CallLimits,
) -> Exchanged:
    """Return the result of one exchange.

    stored: the permits of all jobs that count. running: the claims in `calls` that are held.
    ended: those that are not held any more, but were the last ones of their jobs.
    """
    before = {each.claim.job_id: each for each in stored}
    own: dict[str, StoredCalls] = {}
    given: dict[Claim, tuple[HostCall, ...]] = {}
    for each in sorted(calls, key=lambda each: each.claim not in running):
        claim, old = each.claim, before.get(each.claim.job_id)
        if claim in running:
            own[claim.job_id], given[claim] = _under_claim(each, old)
        elif old is not None and (old.claim == claim or claim in ended) and claim.job_id not in own:
            held = tuple(call for call in old.held if call in set(each.held))
            own[claim.job_id] = replace(old, held=held, wish=None)
    shares = share_calls([_share(each) for each in (before | own).values()], limits)
    newest = max((each.last_grant for each in stored), default=0)
    for each in calls:
        job = each.claim.job_id
        if each.claim in running and shares[job]:
            held = own[job].held
            wanted = [*_left(each.wanted, held), *_left(each.swarm_wanted, held)]
            new = _first_hosts(wanted, shares[job])
            given[each.claim] += new
            held += new
            own[job] = replace(own[job], held=held, wish=_wish(each, held), last_grant=newest + 1)
    return Exchanged(tuple(own.values()), given)


def _under_claim(calls: JobCalls, old: StoredCalls | None) -> tuple[StoredCalls, tuple[HostCall, ...]]:
    """Return the state of the job with what its conductor says, and the permits of an earlier claim."""
    claim = calls.claim
    inherited: tuple[HostCall, ...] = ()
    if old is not None and old.claim != claim:
        inherited = tuple(call for call in old.held if call not in set(calls.held))
    held = calls.held + inherited
    last_grant = old.last_grant if old else 0
    wish = _wish(calls, held)
    return StoredCalls(claim, calls.priority, held, wish, last_grant), inherited


def _left(wanted: Collection[HostCall], held: Collection[HostCall]) -> list[HostCall]:
    hosts = {call.host for call in held}
    return [call for call in wanted if call.host not in hosts]


def _wish(calls: JobCalls, held: Collection[HostCall]) -> Wish | None:
    places, swarm_places = (
        dict(Counter(call.place for call in _left(wanted, held))) for wanted in (calls.wanted, calls.swarm_wanted)
    )
    if not places and not swarm_places:
        return None
    return Wish(places, calls.most, calls.most_per_site, calls.room, swarm_places, calls.swarm_room)


def _share(stored: StoredCalls) -> JobShare:
    held = Counter(call.place for call in stored.held)
    claim = stored.claim
    return JobShare(claim.job_id, claim.owner, stored.priority, held, stored.wish, stored.last_grant)


def _first_hosts(wanted: Sequence[HostCall], places: Sequence[Place]) -> tuple[HostCall, ...]:
    """Return the first wanted hosts at these places."""
    by_place: dict[Place, list[HostCall]] = {}
    for call in reversed(wanted):
        by_place.setdefault(call.place, []).append(call)
    return tuple(by_place[place].pop() for place in places)
