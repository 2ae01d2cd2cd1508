"""Repeats transactions after a deadlock, a lost connection, or a restart of the database.

A block of `Database.write()` cannot run twice, so the method around it is repeated. A method with `@repeatable` is one
transaction that depends only on its arguments.
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
"""The first wait separates two transactions of some milliseconds that were in a deadlock. The longest lets a restarted
database, which takes seconds, be used within one more second."""

P = ParamSpec("P")
T = TypeVar("T")


class TransactionUndone(StoreUnavailable):
    """The transaction has changed nothing, and a repetition may succeed."""


class NotConnected(TransactionUndone):
    """No connection could be made. The caller has already waited for the connection, so it is not tried again."""


class _Patient(Protocol):
    @property
    def patience(self) -> timedelta: ...


class _OnDatabase(Protocol):
    @property
    def _database(self) -> _Patient: ...


Owner = TypeVar("Owner", bound=_OnDatabase)
Method = Callable[Concatenate[Owner, P], T]


def repeatable(method: Method[Owner, P, T]) -> Method[Owner, P, T]:
    """Repeat the method while its transactions are undone, at most for the patience of its database.

    Raises ChangeUncertain at once, because a change that may have been made must not be repeated.
    """

    return _repeating(method, TransactionUndone)


def idempotent(method: Method[Owner, P, T]) -> Method[Owner, P, T]:
    """Repeat the method like `repeatable`, and also if it is unknown whether its change was made.

    For methods that have the same effect when they are called twice.
    """

    return _repeating(method, TransactionUndone, ChangeUncertain)


def _repeating(method: Method[Owner, P, T], *causes: type[StoreUnavailable]) -> Method[Owner, P, T]:
    @wraps(method)
    def repeating(owner: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return repeat(lambda: method(owner, *args, **kwargs), owner._database.patience, *causes)

    return repeating


def repeat(work: Callable[[], T], patience: timedelta, *causes: type[StoreUnavailable]) -> T:
    """Call the function; if it raises one of `causes`, repeat it until the patience is over.

    It is repeated at least once, because a lock or a connection that died may have used up the patience. The exception
    is a connection that could not be made: the caller would wait twice for a server that does not answer.
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
