"""The request or job that the running code works for, so that every line of the log can carry its ids.

Each thread has its own; a thread that works on for a request enters the context again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkContext:
    """request_id: `req-<uuid>` of the request to the API. global_request_id: the id that an outer service gave it."""

    request_id: str | None = None
    global_request_id: str | None = None
    job_id: str | None = None


_current: ContextVar[WorkContext | None] = ContextVar("work", default=None)


def current_work() -> WorkContext | None:
    """Return what this thread works for; None outside of any request and job."""
    return _current.get()


def set_current_work(work: WorkContext | None) -> None:
    """Set what this thread works for until it is set again; for a beginning and an end that no one block holds."""
    _current.set(work)


@contextmanager
def working_on(work: WorkContext) -> Iterator[None]:
    """Set what this thread works for within the block."""
    token = _current.set(work)
    try:
        yield
    finally:
        _current.reset(token)
