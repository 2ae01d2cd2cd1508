"""The assignments that this conductor gave last, so that it need not read a whole relay for a report that changes
nothing. They are no more than a memory: the store says whether one still holds.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from precache.core.relays import Assignment, Relay, RelayMember, RelayReport
from precache.ports.relay_store import ChangedRelay
from precache.rules.relay_plan import is_routine

KEPT_FOR = timedelta(minutes=1)
"""A small part of the lifetime of a ticket, which the assignment contains."""

KEPT_WITHOUT_ROOT = timedelta(seconds=20)
"""The same while the root is unknown: another conductor may get to know it."""

_MOST_PLACES = 20_000  # with some kilobytes each


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A host's assignment. relay: without its members. until: when the place is given up."""

    assignment: Assignment
    relay: Relay
    member: RelayMember
    until: float

    def is_unchanged_by(self, report: RelayReport) -> bool:
        """Return whether the report of the host brings nothing new but numbers."""
        is_current = (report.cell, report.version) == (self.relay.key.cell, self.member.version)
        return is_current and is_routine(self.relay, self.member, report)


class KnownPlaces:
    """Thread-safe. monotonic: a clock in seconds that never goes back."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._places: OrderedDict[tuple[str, str], KnownPlace] = OrderedDict()

    def note(self, changed: ChangedRelay, assignment: Assignment) -> None:
        """Store the assignment that a host gets now."""
        relay, key = changed.after, (assignment.relay, assignment.host)
        if (relay.root, relay.reason) != (changed.before.root, changed.before.reason):
            self._forget(relay.id)
        member = relay.member(assignment.host)
        if member is None:
            return
        kept_for = KEPT_FOR if relay.root else KEPT_WITHOUT_ROOT
        until = self._monotonic() + kept_for.total_seconds()
        with self._lock:
            self._places.pop(key, None)
            self._places[key] = KnownPlace(assignment, replace(relay, members=()), member, until)
            if len(self._places) > _MOST_PLACES:
                self._places.popitem(last=False)

    def find(self, report: RelayReport) -> KnownPlace | None:
        """Return the place of the host that reports; None if it is not known, or has been for long."""
        with self._lock:
            place = self._places.get((report.relay, report.host))
        return place if place is not None and self._monotonic() < place.until else None

    def _forget(self, relay_id: str) -> None:
        with self._lock:
            for key in [key for key in self._places if key[0] == relay_id]:
                del self._places[key]
