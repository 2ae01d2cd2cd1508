"""The request or job that the current thread works for, so that log lines have its ids.

Each thread has its own. A thread that continues the work of another one must enter the context again: the pool and the
task group of `background/` do so.
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


@contextmanager
def working_on_job(job_id: str) -> Iterator[None]:
    """Set a work context with this job within the block; keep the current one if it is of the same job.

    In one process with the conductor a compute thus keeps the ids of the request, which no message carries.
    """
    work = _current.get()
    with working_on(work if work is not None and work.job_id == job_id else WorkContext(job_id=job_id)):
        yield
