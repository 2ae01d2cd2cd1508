"""Ends a process that has stopped all its parts."""

from __future__ import annotations

import logging
import os
import sys
import threading
from datetime import timedelta

_log = logging.getLogger(__name__)


def leave_waiting_threads(patience: timedelta, status: int = 0) -> None:
    """End the process with `status` if other threads than the main one remain after `patience`; else return.

    Call it when all parts are stopped. A thread that remains waits for an answer from outside, such as a silent image
    service. The interpreter would wait for it a minute and longer, for threads of a pool even if they are daemons; but
    their result is no longer needed.
    """
    waiting = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in waiting:
        thread.join(patience.total_seconds() / len(waiting))
    left = [thread.name for thread in waiting if thread.is_alive()]
    if not left:
        return
    _log.debug("Not waiting for these threads, which still wait for an answer: %s", ", ".join(left))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
