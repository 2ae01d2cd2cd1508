"""The store of relays: what all conductors know of them. Nothing about a relay is kept in a conductor only.

All instants are by the store's clock. Errors: StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from precache.core.host_rates import HostRates
from precache.core.images import ImageId
from precache.core.relays import MemberState, Relay, RelayKey

RelayChange = Callable[[Relay, datetime], Relay]
"""A rule: returns the changed relay, from the stored one and the time. It may be called several times for one change,
because a transaction may be repeated. What it raises undoes the change."""


@dataclass(frozen=True, slots=True)
class ChangedRelay:
    """A relay before and after one change, and when that was made."""

    before: Relay
    after: Relay
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberProgress:
    """Numbers of a member, as of `RelayMember`, and the state and version of the assignment with which they were
    reported."""

    host: str
    state: MemberState
    version: int
    have_bytes: int
    offered_bytes: int
    rate_bytes_per_s: int


class RelayStore(Protocol):
    """For the conductors. Changes of one relay are made one after another, whichever conductors make them.

    Members that a rule has not changed are not written.
    """

    def change_by_key(self, key: RelayKey, attestations: int, change: RelayChange) -> ChangedRelay:
        """Apply the rule to the relay with this key; without one, to a new one that has no members."""
        ...

    def change(self, relay_id: str, change: RelayChange, *, is_quiet: bool = False) -> ChangedRelay | None:
        """Apply the rule; return None if there is no such relay.

        is_quiet: the rule is expected to change no assignment. Then members that report at the same time do not wait
        for each other, and a power cut may undo the change. If it changes one, it is applied as without this.
        """
        ...

    def note_progress(self, relay_id: str, progress: MemberProgress) -> bool:
        """Store the numbers of one member, if it still has this state and version; return whether it has.

        One statement, whatever the size of the relay. A rate of 0 leaves the last one. A power cut may undo it.
        """
        ...

    def find(self, relay_id: str) -> Relay | None: ...

    def silent_relays(self, for_at_least: timedelta, limit: int, after: str = "") -> Sequence[str]:
        """Return the ids of up to `limit` relays with an active member that has not reported for that long.

        They come in the order of their ids, those after the id `after`.
        """
        ...

    def count_active_members(self) -> int:
        """Return how many members are active, in all relays."""
        ...

    def forget(self, silent_for: timedelta, failed_for: timedelta, limit: int) -> int:
        """Remove up to `limit` relays of which no member has reported for that long; return how many.

        failed_for: the same for relays that have failed for good, so that the next job tries again.
        """
        ...


class RelayTasks(Protocol):
    """For the conductors: which tasks may have a host take part in a relay."""

    def is_asked(self, job_id: str, host: str, image: ImageId) -> bool:
        """Return whether a task of this job that has not ended asks the host for the image."""
        ...


class HostLoad(Protocol):
    """For the conductors: what hosts do at this moment."""

    def running_tasks(self, hosts: Sequence[str]) -> Mapping[str, int]:
        """Return how many tasks run on each of these hosts, for all jobs; hosts without any are left out."""
        ...


class HostRatesStore(Protocol):
    """For the conductors: the rates of hosts, which relays have shown."""

    def find_rates(self, hosts: Sequence[str]) -> Mapping[str, HostRates]:
        """Return the rates of those of these hosts whose rates are known."""
        ...

    def store_rates(self, host: str, rates: HostRates) -> None: ...

    def forget_rates(self, unmeasured_for: timedelta) -> None:
        """Remove those that were stored that long ago."""
        ...


class RelayQueries(Protocol):
    """For the API."""

    def relays_of_job(self, job_id: str) -> list[Relay]:
        """Return the relays of the job's images in which hosts of the job take part, with all their members.

        A relay of whose members no host of the job has joined or reported since the job was created is left out.
        They come by site, then by image. Empty for an unknown job.
        """
        ...
