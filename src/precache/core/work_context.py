"""The request or job that the current thread works for, so that log lines have its ids.

Each thread has its own. A thread that continues the work of a request must enter the context again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkContext:
    """request_id: `req-<uuid>` of the request to the API. global_request_id: the id from the calling service."""

    request_id: str | None = None
    global_request_id: str | None = None
    job_id: str | None = None


_current: ContextVar[WorkContext | None] = ContextVar("work", default=None)


def current_work() -> WorkContext | None:
    """Return the work context of this thread; None outside of requests and jobs."""
    return _current.get()


def set_current_work(work: WorkContext | None) -> None:
    """Set the work context of this thread until it is set again, if start and end are not in one block."""
    _current.set(work)


@contextmanager
def working_on(work: WorkContext) -> Iterator[None]:
    """Set the work context of this thread within the block."""
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)
