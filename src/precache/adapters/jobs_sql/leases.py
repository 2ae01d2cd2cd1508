"""Extends the leases of claimed jobs: one statement for all of them, which commits by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, or_, select, update

from precache.adapters.jobs_sql.claims import is_held
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import TransactionUndone, idempotent, repeatable
from precache.adapters.sql.tables import jobs
from precache.core.jobs import Claim
from precache.ports.job_store import Steering
from precache.rules.stopping import stop_reason

_PER_STATEMENT = 100
"""Claims in one statement, of four values each; a conductor has about eight."""

_CLAIMS = select(jobs.c.id, jobs.c.lease_owner, jobs.c.lease_token)
_STEERING = _CLAIMS.add_columns(jobs.c.cancel_requested_at, jobs.c.pause_requested_at, jobs.c.revision)


class SqlJobLeases:
    """The port `JobLeases`. database: with the limits for leases: a wait for a locked row must end before a lease."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def extend(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim]:
        lost: list[Claim] = []
        for some in batches(claims, _PER_STATEMENT):
            try:
                lost += self._extend(some, lease)
            except TransactionUndone:
                # Another transaction may hold one of the rows; the other leases must still be extended.
                self._extend_unlocked(some, lease)
                raise
        return lost

    @repeatable
    def steering(self, claims: Sequence[Claim]) -> Mapping[Claim, Steering]:
        found: dict[Claim, Steering] = {}
        for some in batches(claims, _PER_STATEMENT):
            with self._database.read(is_one_statement=True) as connection:
                for row in connection.execute(_STEERING.where(or_(*map(is_held, some)))):
                    stop = stop_reason(row.cancel_requested_at, row.pause_requested_at)
                    found[Claim(row.id, row.lease_owner, row.lease_token)] = Steering(stop, row.revision)
        return {claim: found[claim] for claim in claims if claim in found}

    @idempotent
    def _extend(self, claims: Sequence[Claim], lease: timedelta) -> list[Claim]:
        with self._database.write_singly() as connection:
            if self._set(connection, claims, lease) == len(claims):
                return []
            still_held = {Claim(*row) for row in connection.execute(_CLAIMS.where(or_(*map(is_held, claims))))}
        return [claim for claim in claims if claim not in still_held]

    @idempotent
    def _extend_unlocked(self, claims: Sequence[Claim], lease: timedelta) -> None:
        with self._database.write() as connection:
            lockable = select(jobs.c.id).where(or_(*map(is_held, claims))).with_for_update(skip_locked=True)
            found = set(connection.scalars(lockable))
            if found:
                self._set(connection, [claim for claim in claims if claim.job_id in found], lease)

    def _set(self, connection: Connection, claims: Sequence[Claim], lease: timedelta) -> int:
        extended = update(jobs).where(or_(*map(is_held, claims))).values(lease_until=self._database.now(lease))
        return connection.execute(extended).rowcount
