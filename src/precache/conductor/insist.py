"""Does something again while a part that it needs is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from precache.background.cancel_token import CancelToken
from precache.core.errors import Unavailable
from precache.rules.retry import wait_after

_log = logging.getLogger(__name__)

T = TypeVar("T")


def insist(act: Callable[[], T], *, stop: CancelToken, what: str, in_trouble: Callable[[], None] | None = None) -> T:
    """Return what `act` gives; while it raises Unavailable call it again, after waits that grow.

    stop: once it is cancelled the next failure is raised. That of a job is cancelled when its lease is lost.
    what: names the deed in the log, as the start of a sentence.
    in_trouble: called at the first failure.
    """
    failures = 0
    while True:
        try:
            return act()
        except Unavailable as error:
            failures += 1
            if failures == 1 and in_trouble is not None:
                in_trouble()
            if stop.is_cancelled:
                raise
            wait_s = wait_after(failures).total_seconds()
            _log.warning("%s must wait: %s; trying again in %i s", what, error, wait_s)
            if stop.wait(wait_s):
                raise
