"""The receipt of pieces from one other host, in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Protocol

from precache.background.cancel_token import CancelToken
from precache.background.threads import call_in_thread
from precache.core.relays import Peer
from precache.core.stopping import StopReason
from precache.fetch.rate_limits import RateLimit
from precache.rules.relay_lag import LAG_S, RelayLag
from precache.swarm.pieces_client import Received
from precache.swarm.relay_file import RelayFile

_JOIN_S = 1.0
"""How long to wait for the end of a stream that was stopped. A write to a slow disk can take longer, and ends alone."""


class PiecesReceiver(Protocol):
    """Receives pieces from other hosts: see `PiecesClient`."""

    def receive(
        self,
        peer: Peer,
        *,
        ticket: str,
        into: RelayFile,
        check: Callable[[], object],
        on_progress: Callable[[Received], object],
        limit: RateLimit,
    ) -> None: ...


class ParentStream:
    """One connection to a parent. `start`, then `wait` until it has ended; `stop` ends it."""

    def __init__(
        self,
        *,
        client: PiecesReceiver,
        peer: Peer,
        ticket: str,
        into: RelayFile,
        before_pieces: Callable[[], object],
        limit: RateLimit,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """before_pieces: called when the size of the file is known, and later at times, in the thread of the stream.

        What it raises ends the stream. limit: of the rate, for this image.
        """
        self.peer = peer
        self.offered_bytes = 0
        """How much of the file the other host has, as it last said."""
        self.is_accepted = False
        """Whether the other host has sent anything."""
        self.lag = RelayLag(monotonic())
        self._client, self._ticket, self._into, self._limit = client, ticket, into, limit
        self._before_pieces, self._monotonic = before_pieces, monotonic
        self._stop = CancelToken()
        self._had_bytes = into.added_bytes
        self._done: Future[None] | None = None

    @property
    def received_bytes(self) -> int:
        """Return how many bytes of pieces have come, without those that were here already."""
        return self._into.added_bytes - self._had_bytes

    def start(self) -> None:
        """Raises RuntimeError if the system can start no further thread."""
        self._done = call_in_thread(self._receive, name=f"pieces-from-{self.peer.host[:32]}")

    def wait(self, seconds: float) -> bool:
        """Wait at most that long; return whether the stream has ended. Raises the error with which it ended."""
        if self._done is None or not wait([self._done], seconds).done:
            return False
        self._done.result()
        return True

    def stop(self) -> None:
        """End the stream, and wait for that for a moment. No error is raised: what came before counts."""
        self._stop.cancel(StopReason.ABANDONED)
        if self._done is not None:
            wait([self._done], _JOIN_S)

    @property
    def keeps_pace(self) -> bool:
        """Return whether this host has nearly all that the other one has, and so waits for it."""
        return self.offered_bytes - self._into.have_bytes <= LAG_S * self.lag.rate_bytes_per_s

    def is_slow(self) -> bool:
        """Return whether a report is due that this host lags behind. Call it some ten times a second."""
        now = self._monotonic()
        self.lag.note(now, self.received_bytes)
        return self.lag.is_to_report(now, self._into.have_bytes, self.offered_bytes)

    def _receive(self) -> None:
        self._client.receive(
            self.peer,
            ticket=self._ticket,
            into=self._into,
            check=lambda: self._stop.check("Receiving pieces"),
            on_progress=self._note_progress,
            limit=self._limit,
        )

    def _note_progress(self, received: Received) -> None:
        self.offered_bytes, self.is_accepted = received.offered_bytes, True
        self._before_pieces()
