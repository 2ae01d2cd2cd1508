"""Transactions that are begun again: after a deadlock, a lost connection, a restart of the database.

A block of `Database.write()` cannot run twice, so what is repeated is the method around it. Each method of our ports
is one transaction, computed from its arguments alone: where that holds, `@repeatable` says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from precache.background.backoff import Backoff, retry_until
from precache.core.errors import ChangeUncertain, StoreUnavailable

RETRIES = Backoff(first=timedelta(seconds=0.02), longest=timedelta(seconds=1), jitter=0.5)
"""The first: two transactions that met in a deadlock, each of some milliseconds, must miss each other. The longest: a
database that restarts is back within seconds, and is used within one more."""

P = ParamSpec("P")
T = TypeVar("T")


class TransactionUndone(StoreUnavailable):
    """Nothing of the transaction has happened, and it is worth another attempt."""


class NotConnected(TransactionUndone):
    """No connection came about. Who has waited for that already has waited enough."""


class _Patient(Protocol):
    @property
    def patience(self) -> timedelta: ...


class _OnDatabase(Protocol):
    @property
    def _database(self) -> _Patient: ...


Owner = TypeVar("Owner", bound=_OnDatabase)
Method = Callable[Concatenate[Owner, P], T]


def repeatable(method: Method[Owner, P, T]) -> Method[Owner, P, T]:
    """Repeat the method for as long as the patience of its database lasts while its transactions come to nothing.

    Raises ChangeUncertain at once: what may have been done is not done again.
    """

    @wraps(method)
    def repeating(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return repeat(lambda: method(owner, *args, **kwargs), owner._database.patience, TransactionUndone)

    return repeating


def idempotent(method: Method[Owner, P, T]) -> Method[Owner, P, T]:
    """Repeat the method like `repeatable`, and also if it is not known whether its change was made.

    For methods that give the same when they are called twice.
    """

    @wraps(method)
    def repeating(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return repeat(
            lambda: method(owner, *args, **kwargs), owner._database.patience, (TransactionUndone, ChangeUncertain)
        )

    return repeating


def repeat(
    work: Callable[[], T],
    patience: timedelta,
    causes: type[StoreUnavailable] | tuple[type[StoreUnavailable], ...],
) -> T:
    """Do the work, and again if it fails for one of the causes, until the patience is over.

    It is done twice in any case: a lock, or a connection that died in silence, may have used the patience up. Not after
    a connection that could not be made: a server that does not answer would be waited for twice.
    """
    deadline = time.monotonic() + patience.total_seconds()

    def gives_up(error: Exception, failures: int, pause_s: float) -> bool:
        is_due_once_more = failures == 1 and not isinstance(error, NotConnected)
        return time.monotonic() + pause_s > deadline and not is_due_once_more

    return retry_until(
        work,
        what="A transaction",
        wait=time.sleep,
        backoff=RETRIES,
        errors=causes,
        gives_up=gives_up,
        level=logging.INFO,
    )
