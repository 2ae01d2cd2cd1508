"""The images that this host goes on to serve to other hosts after it has published them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from precache.background.periodic_task import PeriodicTask
from precache.imagecache.served_entries import ServedEntries
from precache.ports.clock import Clock
from precache.swarm.relay_file import RelayFile
from precache.swarm.relay_reports import RelayReports
from precache.swarm.swarm_host import PiecesOffers

_log = logging.getLogger(__name__)

_LOOK_INTERVAL = timedelta(seconds=1)

_UNASKED_S = 5.0
"""An image is served longer than configured until no host has received it for so long: with `serve_s` = 0 the last
pieces, and hosts that were just told to come, would be refused, and go to the image service."""

_MOST_LONGER_S = 600.0
"""Then hosts that still receive it go to another one."""


@dataclass(slots=True)
class _Served:
    """One image. entry: its path in the cache, which it gets soon. until_s: of the monotonic clock.

    asked_s: when a host last received it, of the monotonic clock; at first, when it began.
    is_published: it was seen at its path.
    """

    relay: str
    file: RelayFile
    entry: Path
    reports: RelayReports
    until_s: float
    asked_s: float
    is_published: bool = False


class ServedRelays:
    """Withdraws each image when its time is over, or its entry is gone. Thread-safe.

    The open file stays readable when its entry gets its name, and also when another program removes that. Then it would
    only hold the space.
    """

    def __init__(
        self,
        *,
        server: PiecesOffers,
        entries: ServedEntries,
        serve_for: timedelta,
        clock: Clock,
        forget: Callable[[str], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """entries: learns which entries are served. forget: called with a relay that is not served any more."""
        self._server, self._entries, self._serve_for = server, entries, serve_for
        self._clock, self._forget, self._monotonic = clock, forget, monotonic
        self._served: dict[str, _Served] = {}
        self._lock = threading.Lock()
        self._ending = threading.Lock()
        """Held until all of one relay has ended: a fetch that follows offers another file of the same relay."""
        self._looks = PeriodicTask(action=self.check, interval=_LOOK_INTERVAL, what="Serving images to other hosts")

    def start(self) -> None:
        """Raises RuntimeError if the system can start no further thread."""
        self._looks.start()

    def stop(self, patience: timedelta) -> None:
        """Serve nothing any more, and tell it to the conductors. Harmless if it was never started."""
        self._looks.stop(patience)
        for relay in self._relays():
            self.end(relay, "its compute stops")

    def add(self, relay: str, file: RelayFile, entry: Path, reports: RelayReports) -> None:
        """Serve the file, which is offered already, as long as that is configured. entry: the path that it gets.

        It takes the place of a file that was served of the same relay, as when two jobs ask for a cached image at once.
        """
        now_s = self._monotonic()
        served = _Served(relay, file, entry, reports, now_s + self._serve_for.total_seconds(), now_s)
        with self._lock:
            before, self._served[relay] = self._served.get(relay), served
        if before is not None:
            before.reports.stop()
            before.file.close()
        self._entries.begin(entry.name, self._clock.now() + self._serve_for)

    def is_served(self, entry: Path) -> bool:
        """Return whether the entry at this path is served."""
        with self._lock:
            return any(served.entry == entry for served in self._served.values())

    def end(self, relay: str, reason: str) -> None:
        """Serve it no more; harmless if it is not served. Returns when that has ended, whichever thread does it.

        reason: with which the conductors learn that the host leaves the relay; empty if it has joined it again.
        """
        with self._ending:
            with self._lock:
                served = self._served.pop(relay, None)
            if served is not None:
                self._end(served, reason)

    def _end(self, served: _Served, reason: str) -> None:
        self._server.withdraw(served.relay)
        served.file.close()
        self._entries.end(served.entry.name)
        if reason:
            served.reports.leave(reason)
        else:
            served.reports.stop()
        self._forget(served.relay)

    def check(self) -> None:
        """End what is over."""
        for relay in self._relays():
            served = self._served.get(relay)
            if served is None:
                continue
            if self._is_over(served):
                self.end(served.relay, "it has served the image as long as [swarm] serve_s says")
            elif _is_gone(served):
                _log.info("%s is gone, and is served to other hosts no more", served.entry)
                self.end(served.relay, "the image is not in its cache any more")

    def _is_over(self, served: _Served) -> bool:
        now_s = self._monotonic()
        if self._server.serving(served.relay).hosts:
            served.asked_s = now_s
        longer_s = now_s - served.until_s
        return longer_s >= 0 and (now_s - served.asked_s >= _UNASKED_S or longer_s >= _MOST_LONGER_S)

    def _relays(self) -> list[str]:
        with self._lock:
            return list(self._served)


def _is_gone(served: _Served) -> bool:
    """Return whether the file has no name any more, or is not the entry any more."""
    try:
        found = served.file.stat()
        is_entry = os.path.samestat(found, served.entry.lstat())
    except FileNotFoundError:
        return served.is_published or found.st_nlink == 0
    except OSError:
        return False
    served.is_published = served.is_published or is_entry
    return not is_entry
