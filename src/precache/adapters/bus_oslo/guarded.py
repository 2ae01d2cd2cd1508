"""What the threads of this adapter do their work in: a bug of ours must not end one that nobody would miss until hosts
are given up for its sake."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


def guarded(act: Callable[[], T], *, what: str, stopping: threading.Event | None = None) -> T | None:
    """Return what `act` gives; None, with the traceback in the log, if it fails.

    what: starts the line in the log. stopping: once it is set a failure means nothing, for what is needed may be gone.
    """
    try:
        return act()
    except Exception:  # noqa: BLE001  the process loop
        if stopping is None or not stopping.is_set():
            _log.exception("%s failed in a way that nobody foresaw", what)
        return None
