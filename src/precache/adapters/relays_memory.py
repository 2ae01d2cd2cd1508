"""Relays in memory: for tests."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from precache.core.errors import JobNotFound
from precache.core.host_rates import HostRates
from precache.core.images import ImageId
from precache.core.jobs import TaskFilter, TaskState
from precache.core.relays import MemberState, Relay, RelayKey, RelayMember
from precache.ports.clock import Clock
from precache.ports.job_store import JobQueries
from precache.ports.relay_store import ChangedRelay, MemberProgress, RelayChange

_EVERY = 10**6


class MemoryRelays:
    """The ports `HostLoad`, `RelayStore`, `RelayTasks`, `HostRatesStore` and `RelayQueries`; thread-safe.

    jobs: where the tasks are.
    """

    def __init__(self, *, clock: Clock, jobs: JobQueries) -> None:
        self._clock, self._jobs = clock, jobs
        self._lock = threading.Lock()
        self._relays: dict[str, Relay] = {}
        self._rates: dict[str, tuple[HostRates, datetime]] = {}

    def change_by_key(self, key: RelayKey, attestations: int, change: RelayChange) -> ChangedRelay:
        with self._lock:
            now = self._clock.now()
            new = Relay(id=uuid.uuid4().hex, key=key, attestations=attestations, created_at=now)
            before = next((each for each in self._relays.values() if each.key == key), new)
            return self._changed(before, change, now)

    def change(self, relay_id: str, change: RelayChange, *, is_quiet: bool = False) -> ChangedRelay | None:  # noqa: ARG002
        with self._lock:
            before = self._relays.get(relay_id)
            return None if before is None else self._changed(before, change, self._clock.now())

    def note_progress(self, relay_id: str, progress: MemberProgress) -> bool:
        with self._lock:
            relay = self._relays.get(relay_id)
            member = relay.member(progress.host) if relay else None
            if relay is None or member is None or (member.state, member.version) != (progress.state, progress.version):
                return False
            changed = replace(
                member,
                have_bytes=progress.have_bytes,
                offered_bytes=progress.offered_bytes,
                rate_bytes_per_s=progress.rate_bytes_per_s or member.rate_bytes_per_s,
                reported_at=self._clock.now(),
            )
            members = tuple(changed if each.host == progress.host else each for each in relay.members)
            self._relays[relay_id] = replace(relay, members=members)
            return True

    def find(self, relay_id: str) -> Relay | None:
        return self._relays.get(relay_id)

    def silent_relays(self, for_at_least: timedelta, limit: int, after: str = "") -> Sequence[str]:
        since = self._clock.now() - for_at_least
        relays = sorted(self._relays.items())
        silent = [relay_id for relay_id, relay in relays if any(at <= since for at in _active_times(relay))]
        return [relay_id for relay_id in silent if relay_id > after][:limit]

    def count_active_members(self) -> int:
        return sum(
            member.state is MemberState.ACTIVE for relay in list(self._relays.values()) for member in relay.members
        )

    def forget(self, silent_for: timedelta, failed_for: timedelta, limit: int) -> int:
        now = self._clock.now()
        with self._lock:
            relays = list(self._relays.values())
            old = [each for each in relays if max(_times(each)) <= now - (failed_for if each.reason else silent_for)]
            for relay in old[:limit]:
                del self._relays[relay.id]
        return len(old[:limit])

    def is_asked(self, job_id: str, host: str, image: ImageId) -> bool:
        with suppress(JobNotFound):
            tasks = self._jobs.list_tasks(job_id, only=TaskFilter(host=host), limit=_EVERY)
            is_final = self._jobs.get(job_id).state.is_final
            return not is_final and any(task.image == image and task.state is not TaskState.ENDED for task in tasks)
        return False

    def running_tasks(self, hosts: Sequence[str]) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for job in self._jobs.list_jobs(limit=_EVERY):
            running = self._jobs.list_tasks(job.id, only=TaskFilter(state=TaskState.RUNNING), limit=_EVERY)
            found.update(task.host for task in running if task.host in hosts)
        return dict(found)

    def relays_of_job(self, job_id: str) -> list[Relay]:
        with suppress(JobNotFound):
            since = self._jobs.get(job_id).created_at
            tasks = self._jobs.list_tasks(job_id, limit=_EVERY)
            hosts, images = {task.host for task in tasks}, {task.image for task in tasks}
            found = [
                relay
                for relay in list(self._relays.values())
                if relay.key.image in images and any(_takes_part(member, hosts, since) for member in relay.members)
            ]
            return sorted(found, key=lambda relay: (relay.key.site, relay.key.image))
        return []

    def find_rates(self, hosts: Sequence[str]) -> Mapping[str, HostRates]:
        return {host: self._rates[host][0] for host in hosts if host in self._rates}

    def store_rates(self, host: str, rates: HostRates) -> None:
        self._rates[host] = rates, self._clock.now()

    def forget_rates(self, unmeasured_for: timedelta) -> None:
        since = self._clock.now() - unmeasured_for
        self._rates = {host: kept for host, kept in self._rates.items() if kept[1] > since}

    def _changed(self, before: Relay, change: RelayChange, now: datetime) -> ChangedRelay:
        after = change(before, now)
        self._relays[after.id] = after
        return ChangedRelay(before, after, now)


def _takes_part(member: RelayMember, hosts: set[str], since: datetime) -> bool:
    seen_at = member.reported_at or member.joined_at
    return member.host in hosts and seen_at is not None and seen_at >= since


def _active_times(relay: Relay) -> Iterator[datetime]:
    for member in relay.members:
        if member.state is MemberState.ACTIVE and (at := member.reported_at or member.joined_at) is not None:
            yield at


def _times(relay: Relay) -> Iterator[datetime]:
    for at in (relay.created_at, *(member.reported_at or member.joined_at for member in relay.members)):
        if at is not None:
            yield at
