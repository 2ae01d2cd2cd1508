"""Observes the background work of a process: how often it ran, how long it took, and how it failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Observer(Protocol):
    """Called after each run of background work, in its thread. Must be quick and must not raise.

    what: the kind of work, one of a few. error: what the run raised; None if it succeeded.
    """

    def __call__(self, what: str, duration_s: float, error: BaseException | None) -> None: ...


# One list per process, like the handlers of logging, so that no class needs a parameter for it.
_observers: tuple[Observer, ...] = ()


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Call `observer` for all background work of the process until the end of the block."""
    global _observers
    _observers = (*_observers, observer)
    try:
        yield
    finally:
        _observers = tuple(each for each in _observers if each is not observer)


@contextmanager
def observed(what: str) -> Iterator[None]:
    """Call the observers after the block, as one run of `what`."""
    began, error = time.monotonic(), None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        for observer in _observers:
            observer(what, time.monotonic() - began, error)
