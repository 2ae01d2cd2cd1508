"""A host's part in swarms: its certificate, the port on which it serves pieces, and the images that it passes on."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Protocol

from precache.background.deadline import Deadline
from precache.compute.renew_certificate import RenewCertificate
from precache.core.errors import PortsUnusable
from precache.core.relays import Assignment, Peer
from precache.core.swarm_checks import SwarmState
from precache.swarm.host_check import HostCheck
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.swarm_fetcher import SwarmFetcher

_log = logging.getLogger(__name__)


class SwarmMember(Protocol):
    """What a compute needs of it. Call `start`, and `stop` at the end."""

    def start(self) -> None:
        """Ask for a certificate, and listen to other hosts."""
        ...

    def ask_to_stop(self) -> None:
        """Ask for no further certificate; do not wait."""
        ...

    def stop(self, patience: timedelta) -> None:
        """Serve nothing any more. Waits at most that long."""
        ...

    def changed(self, assignment: Assignment) -> None:
        """Follow the assignment of a conductor, without waiting."""
        ...

    def check(self, peer: Peer | None) -> SwarmState:
        """Return how the host takes part, and whether it reaches the peer; takes seconds."""
        ...


class HostInSwarm:
    """The port `SwarmMember`. server: None if this host is to serve no other hosts."""

    def __init__(
        self, *, fetcher: SwarmFetcher, server: PiecesServer | None, renewal: RenewCertificate, check: HostCheck
    ) -> None:
        self._fetcher, self._server, self._renewal, self.check = fetcher, server, renewal, check
        self.changed = fetcher.changed

    def start(self) -> None:
        if self._server is not None:
            try:
                self._server.start()
            except PortsUnusable as error:
                _log.error("This host serves no images to other hosts, but receives them. %s", error)
        self._fetcher.start()
        self._renewal.start()

    def ask_to_stop(self) -> None:
        self._renewal.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        deadline = Deadline(patience)
        self._renewal.stop(timedelta(seconds=max(0.0, deadline.left_s)))
        self._fetcher.stop(timedelta(seconds=max(0.0, deadline.left_s)))
        if self._server is not None:
            self._server.stop()
