"""How a host reports its progress."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from precache.core.bytes_from import BytesFrom
from precache.core.jobs import Phase, TaskProgress


class ProgressSink(Protocol):
    """Sends a compute's progress to the conductors."""

    def add(self, progress: TaskProgress) -> None:
        """Accept a report; a later one on the same task may replace it before it is sent. Never waits, never raises."""
        ...


class SourceWatcher(Protocol):
    """A watcher that also wants to know from where the bytes of a transfer by swarm come."""

    def note_source(self, parent: str, bytes_from: BytesFrom, interval: timedelta) -> None:
        """Accept from which host the image is received, empty for none, and from where its bytes came until now.

        interval: how often the conductors want to hear of the transfer.
        """
        ...


def note_source(watch: Watcher, parent: str, bytes_from: BytesFrom, interval: timedelta) -> None:
    """Tell the watcher, if it wants to know it."""
    note = getattr(watch, "note_source", None)
    if note is not None:
        note(parent, bytes_from, interval)


class DecodingWatcher(Protocol):
    """A watcher that also wants to know what has made the raw disk of the image."""

    def note_decoder(self, decoded_by: str) -> None:
        """Accept it at the end of each attempt, also of one that failed; as `Task.decoded_by`. The last one counts."""
        ...


def note_decoder(watch: Watcher, decoded_by: str) -> None:
    """Tell the watcher, if it wants to know it."""
    note = getattr(watch, "note_decoder", None)
    if note is not None:
        note(decoded_by)


class Watcher(Protocol):
    """Follows one image on one host, from inside the transfer."""

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        """Accept a report on the image. bytes_total is 0 while unknown.

        The driver calls it at every change of phase and some ten times a second in between, whatever it waits for, from
        one thread at a time. May raise Stopped or DeadlinePassed: the driver then ends within two seconds, raises the
        same, and leaves no file. If `keeps_data` of Stopped is true, what was received stays for the next call for the
        image, if the driver can. Pieces from other hosts stay also if the compute is being stopped.
        """
        ...
