"""Logs failures of work in a thread, so that they do not end the thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from precache.background.observer import observed
from precache.core.errors import PrecacheError

_log = logging.getLogger(__name__)


@contextmanager
def log_exceptions(*, what: str, of: str = "", then: str = "", stopping: Event | None = None) -> Iterator[None]:
    """Log a failure of the block (a bug with its traceback) and continue after the block.

    what, of: the kind of work, as the start of a sentence, and which one, for the log. then: what happens next.
    stopping: when it is set, failures are not logged, because objects that the work needs may be closed.
    """
    try:
        with observed(what):
            yield
    except Exception as error:  # noqa: BLE001  the process loop
        if stopping is None or not stopping.is_set():
            _log_failure(error, f"{what} {of}".rstrip(), f" and {then}" if then else "")


def _log_failure(error: Exception, work: str, then: str) -> None:
    if isinstance(error, PrecacheError):
        _log.warning("%s failed%s: %s", work, then, error)
    else:
        _log.exception("%s failed unexpectedly%s", work, then)
