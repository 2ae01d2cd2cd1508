"""Permits to call hosts in memory, for tests and for a service without a database."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from precache.core.errors import JobNotFound
from precache.core.host_calls import CallLimits, HostCall, JobCalls
from precache.core.jobs import Claim, JobState
from precache.ports.call_permits import CallPermits
from precache.ports.clock import Clock
from precache.ports.job_store import JobQueries
from precache.rules.permit_exchange import WISH_TIME, StoredCalls, exchange_permits


@dataclass(frozen=True, slots=True)
class _Record:
    stored: StoredCalls
    at: datetime


class MemoryCallPermits(CallPermits):
    """The port `CallPermits`.

    jobs: whose leases count. longest_call: how long permits count after their conductor's last exchange.
    """

    def __init__(self, *, jobs: JobQueries, clock: Clock, limits: CallLimits, longest_call: timedelta) -> None:
        self._jobs = jobs
        self._clock = clock
        self._limits = limits
        self._longest_call = longest_call
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}

    def exchange(self, jobs: Sequence[JobCalls]) -> Mapping[Claim, Sequence[HostCall]]:
        with self._lock:
            now = self._clock.now()
            counted = [seen for record in self._records.values() if (seen := self._seen(record, now))]
            running = {each.claim for each in jobs if self._is_held(each.claim)}
            ended = {each.claim for each in jobs if self._is_last(each.claim)} - running
            exchanged = exchange_permits(counted, jobs, running, ended, self._limits)
            for stored in exchanged.stored:
                self._records[stored.claim.job_id] = _Record(stored, now)
            kept = {each.claim.job_id for each in counted} | {each.claim.job_id for each in exchanged.stored}
            self._records = {
                job: record for job, record in self._records.items() if job in kept and not record.stored.is_empty
            }
            return exchanged.given

    def _seen(self, record: _Record, now: datetime) -> StoredCalls | None:
        """Return what counts of the record."""
        stored = record.stored
        is_held = self._is_held(stored.claim, now)
        if not is_held and record.at + self._longest_call <= now:
            return None
        return stored if is_held and record.at + WISH_TIME > now else replace(stored, wish=None)

    def _is_last(self, claim: Claim) -> bool:
        """Return whether this is the last claim of the job."""
        try:
            return self._jobs.get(claim.job_id).lease_token == claim.token
        except JobNotFound:
            return False

    def _is_held(self, claim: Claim, now: datetime | None = None) -> bool:
        """Return whether the claim is held. now: also whether its lease has not expired."""
        try:
            job = self._jobs.get(claim.job_id)
        except JobNotFound:
            return False
        is_last = (job.state, job.lease_owner, job.lease_token) == (JobState.RUNNING, claim.owner, claim.token)
        return is_last and (now is None or (job.lease_until is not None and job.lease_until > now))
