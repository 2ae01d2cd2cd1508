"""Transactions that are begun again: after a deadlock, a lost connection, a restart of the database.

A block of `Database.write()` cannot run twice, so what is repeated is the method around it. Each method of our ports
is one transaction, computed from its arguments alone: where that holds, `@repeatable` says so.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from precache.core.errors import ChangeUncertain, StoreUnavailable

FIRST_WAIT_S = 0.02
"""Two transactions that met in a deadlock are to miss each other; each takes some milliseconds."""

LONGEST_WAIT_S = 1.0
"""A database that restarts is back within seconds, and is used within one more."""

_log = logging.getLogger(__name__)

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

    Once in any case, for it may have been used up by a lock or by a connection that died in silence; but not for want
    of a new connection: a server that says nothing would be waited for twice.
    """
    deadline = time.monotonic() + patience.total_seconds()
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return work()
        except causes as exc:
            is_due_once_more = wait_s == FIRST_WAIT_S and not isinstance(exc, NotConnected)
            if time.monotonic() + wait_s > deadline and not is_due_once_more:
                raise
            _log.info("A transaction is begun again: %s", exc)
        # At random, or two that failed over each other do so again.
        time.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311  nothing secret
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
