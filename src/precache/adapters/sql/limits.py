"""The time limits of database calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest waits. queue: for a free connection of the pool. connect: for a new connection. statement: for the
    answer to one statement. lock: for a lock of another transaction.

    patience: for how long a transaction that was undone is repeated; see repeating.py. The last attempt may end later.
    If a client sends nothing during a transaction for longer than a statement may take, the server undoes the
    transaction: otherwise a machine that lost its power would hold its locks for hours.
    """

    queue: timedelta = timedelta(seconds=30)
    connect: timedelta = timedelta(seconds=10)
    statement: timedelta = timedelta(seconds=60)
    lock: timedelta = timedelta(seconds=20)
    patience: timedelta = timedelta(seconds=10)

    @classmethod
    def for_requests(cls) -> Limits:
        """Return limits with which an API client gets an error for a silent database before its own timeout.

        The worst case is one statement and one new connection without an answer: about 20 s. (PyMySQL waits for a
        server's greeting as long as for a statement.) The statements of requests take far less, also for the largest
        job.
        """
        return cls(
            queue=timedelta(seconds=10),
            connect=timedelta(seconds=5),
            statement=timedelta(seconds=10),
            lock=timedelta(seconds=8),
            patience=timedelta(seconds=5),
        )

    @classmethod
    def for_hosts(cls) -> Limits:
        """Return limits with which a host that asks a conductor usually gets an answer or an error within 5 s.

        A change takes milliseconds, and a host asks again.
        """
        return cls(
            queue=timedelta(seconds=2),
            connect=timedelta(seconds=2),
            statement=timedelta(seconds=4),
            lock=timedelta(seconds=3),
            patience=timedelta(seconds=2),
        )

    @classmethod
    def for_leases(cls, lease: timedelta) -> Limits:
        """Return limits with which two attempts to extend a lease end before the lease expires.

        Nothing is repeated here: the caller repeats it after the other leases.
        """
        wait = max(lease / 6, timedelta(seconds=2))
        lock = max(lease / 15, timedelta(seconds=1))
        return cls(queue=wait, connect=wait, statement=wait, lock=lock, patience=timedelta())

    def for_migrations(self) -> Limits:
        """Return limits that allow the change of a large table, but not a long wait for locks."""
        return replace(self, statement=timedelta(days=1))


def whole_seconds(duration: timedelta) -> int:
    """Return the duration in seconds, rounded up, because zero means no limit to most servers and drivers."""
    return max(1, -int(-duration.total_seconds() // 1))


def milliseconds(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds() * 1000))
