"""What the commands that run a process until it is told to end have in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from precache.wiring.end_signals import EndSignals
from precache.wiring.leaving import leave_waiting_threads

LEAVING_PATIENCE = timedelta(seconds=1)
"""Threads that were told to end are gone in far less."""


class Runs(Protocol):
    """A process's service. After a failed `start`, `stop` is still to be called."""

    def start(self) -> str:
        """Start it and give what its greeting names: a URL, a host."""
        ...

    def stop(self) -> None: ...


def serve_until_told(
    service: Runs, *, tell: Callable[[str], None], greeting: Callable[[str], str], farewell: str
) -> None:
    """Run the service until Ctrl-C or SIGTERM. greeting: of what `start` gives."""
    signals = EndSignals()
    try:
        started = service.start()
        tell(greeting(started))
        signals.wait()
        tell(farewell)
    finally:
        service.stop()
    leave_waiting_threads(LEAVING_PATIENCE)
