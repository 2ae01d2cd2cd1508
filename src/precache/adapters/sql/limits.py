"""How long a database may keep us waiting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """queue: for one of our own connections while all are in use. connect: to be connected. statement: for the answer
    to one statement. lock: for what another transaction holds.

    patience: for how long a transaction that came to nothing is begun again; see repeating.py. The last attempt may go
    on beyond it.
    A transaction in which the client is silent for longer than a statement may take is undone by the server: a machine
    that lost its power would hold its locks for hours.
    """

    queue: timedelta = timedelta(seconds=30)
    connect: timedelta = timedelta(seconds=10)
    statement: timedelta = timedelta(seconds=60)
    lock: timedelta = timedelta(seconds=20)
    patience: timedelta = timedelta(seconds=10)

    @classmethod
    def for_requests(cls) -> Limits:
        """Return limits under which a client learns of a silent database before it gives up itself.

        At the worst a statement's silence, and then that of a new connection: some 20 s. (PyMySQL waits for a server's
        greeting as for a statement.) The statements of requests take well under that, also for the largest job.
        """
        return cls(
            queue=timedelta(seconds=10),
            connect=timedelta(seconds=5),
            statement=timedelta(seconds=10),
            lock=timedelta(seconds=8),
            patience=timedelta(seconds=5),
        )

    @classmethod
    def for_leases(cls, lease: timedelta) -> Limits:
        """Return limits under which an attempt to extend a lease, and a second one, end before the lease does.

        Nothing is begun again here: the caller does, when others have had their turn.
        """
        wait = max(lease / 6, timedelta(seconds=2))
        lock = max(lease / 15, timedelta(seconds=1))
        return cls(queue=wait, connect=wait, statement=wait, lock=lock, patience=timedelta())

    def for_migrations(self) -> Limits:
        """Return limits under which a large table may be changed, with a limited wait for locks."""
        return replace(self, statement=timedelta(days=1))


def whole_seconds(duration: timedelta) -> int:
    """Round up, for to most servers and drivers zero means for ever."""
    return max(1, -int(-duration.total_seconds() // 1))


def milliseconds(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds() * 1000))
