"""The end of a process that has closed everything."""

from __future__ import annotations

import logging
import os
import sys
import threading
from datetime import timedelta

_log = logging.getLogger(__name__)


def leave_waiting_threads(patience: timedelta, status: int = 0) -> None:
    """End the process with `status` if any thread but the main one is left after `patience`; else return.

    For when everything has been closed: such a thread waits for an answer from outside (an image service that says
    nothing). The interpreter would wait with it, for those of a pool even if they are daemons, a minute and longer;
    and nothing that it could still do would matter.
    """
    waiting = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in waiting:
        thread.join(patience.total_seconds() / len(waiting))
    left = [thread.name for thread in waiting if thread.is_alive()]
    if not left:
        return
    _log.debug("Not waiting for what these still wait for: %s", ", ".join(left))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
