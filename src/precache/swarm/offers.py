"""What a host offers to other hosts, and the connections over which they get it. Thread-safe."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from precache.swarm.relay_file import RelayFile


class RequestRefused(Exception):
    """A request is answered with this status and reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True)
class Serving:
    """sent_bytes: of this relay since it was offered. hosts: that receive it now."""

    sent_bytes: int
    hosts: tuple[str, ...]


class Connection:
    """One connection from another host.

    deadline: by which its handshake, or its request, must be complete, of the monotonic clock; None once pieces are
        sent.
    certified: the host that its certificate names; empty before the handshake.
    relay, host: what is sent to whom; empty before.
    """

    def __init__(self, sock: ssl.SSLSocket, address: str, deadline: float) -> None:
        self.sock, self.address = sock, address
        self.deadline: float | None = deadline
        self.certified = self.relay = self.host = ""
        self.is_cut = False

    def cut(self) -> None:
        """End the connection, from any thread."""
        self.is_cut = True
        with contextlib.suppress(OSError):  # closed already
            # Not the method of an SSL socket, which takes its session from the sending thread.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


MOST_HANDSHAKES = 32
"""Connections that have not shown a certificate. With more, the oldest of the address that has the most is cut."""

_MOST_REQUESTS = 64
"""Connections of certified hosts to which no pieces are sent, yet or at all. With more, the oldest of the host that has
the most is cut."""


class Offers:
    """The files by relay, and all connections.

    most_receivers: hosts that receive pieces at the same time. wait_s: how long a host may wait for a file that is not
    offered yet.
    """

    def __init__(self, *, most_receivers: int, wait_s: float) -> None:
        self._most_receivers, self._wait_s = most_receivers, wait_s
        self._lock = threading.Condition()
        self._files: dict[str, RelayFile] = {}
        self._sent: Counter[str] = Counter()
        self._connections: dict[Connection, None] = {}
        """The oldest first."""

    def add(self, relay: str, file: RelayFile) -> None:
        """Offer this file; another file of the relay is offered no more."""
        with self._lock:
            before, self._files[relay] = self._files.get(relay), file
            self._lock.notify_all()
        if before is not None and before is not file:
            self.cut(lambda connection: connection.relay == relay)

    def remove(self, relay: str) -> None:
        with self._lock:
            self._files.pop(relay, None)
            self._sent.pop(relay, None)
        self.cut(lambda connection: connection.relay == relay)

    def has(self, relay: str) -> bool:
        """Return whether the relay is offered."""
        return relay in self._files

    def serving(self, relay: str) -> Serving:
        with self._lock:
            hosts = sorted(each.host for each in self._connections if each.relay == relay and not each.is_cut)
            return Serving(self._sent[relay], tuple(hosts))

    def count_sent(self, relay: str, count: int) -> None:
        with self._lock:
            if relay in self._files:
                self._sent[relay] += count

    @property
    def is_full(self) -> bool:
        """Return whether there are so many connections, those included that end at this moment, that none is added."""
        return len(self._connections) >= 2 * MOST_HANDSHAKES + _MOST_REQUESTS + self._most_receivers

    def connect(self, connection: Connection) -> Connection | None:
        """Add a connection before its handshake; return the one that was cut in its favour, None if none was.

        An address that opens many connections takes no place from other addresses.
        """
        with self._lock:
            self._connections[connection] = None
            waiting = [each for each in self._connections if not each.certified and not each.is_cut]
            crowding = _oldest_of_most(waiting, lambda each: each.address) if len(waiting) > MOST_HANDSHAKES else None
        if crowding is not None:
            crowding.cut()
        return crowding

    def certify(self, connection: Connection, host: str) -> None:
        """Note which host is at the other end. If there are too many such connections without pieces, cut one."""
        with self._lock:
            connection.certified = host
            asking = [each for each in self._connections if each.certified and not each.relay and not each.is_cut]
            crowding = _oldest_of_most(asking, lambda each: each.certified) if len(asking) > _MOST_REQUESTS else None
        if crowding is not None:
            crowding.cut()

    def disconnect(self, connection: Connection) -> None:
        with self._lock:
            self._connections.pop(connection, None)

    def admit(self, connection: Connection, relay: str, host: str) -> RelayFile:
        """Return the file that this connection is to send. Raises RequestRefused.

        An earlier connection of the same host for the same relay is cut: the host has given it up.
        The conductor may have told a child of its parent before the parent, which joined a moment before, has opened
        its file. So the child waits here: if it were refused, it would go to a host that has a child already.
        """
        with self._lock:
            self._lock.wait_for(lambda: relay in self._files or connection.is_cut, self._wait_s)
            file = self._files.get(relay)
            if file is None:
                reason = (
                    f"relay {relay} is not offered here to host {host}: this host serves that image no more, "
                    "or not yet. Nothing needs to be done, the other one gets another parent"
                )
                raise RequestRefused(HTTPStatus.FORBIDDEN, reason)
            others = [each for each in self._connections if each.relay and not each.is_cut]
            for earlier in [each for each in others if (each.relay, each.host) == (relay, host)]:
                earlier.cut()
                others.remove(earlier)
            if len(others) >= self._most_receivers:
                reason = (
                    f"it sends pieces to {len(others)} hosts already ([swarm] max_connections), so that host {host} "
                    "must wait or receive from another one"
                )
                raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, reason)
            connection.relay, connection.host = relay, host
            return file

    def cut(self, holds: Callable[[Connection], bool]) -> None:
        """End the connections for which this is true."""
        with self._lock:
            found = [each for each in self._connections if not each.is_cut and holds(each)]
        for connection in found:
            connection.cut()

    def cut_late(self, now: float) -> None:
        """End the connections whose request should be complete by now."""
        self.cut(lambda connection: connection.deadline is not None and now > connection.deadline)


def _oldest_of_most(connections: list[Connection], owner: Callable[[Connection], str]) -> Connection:
    """Return the first connection of the owner that has the most of them."""
    [(most, _count)] = Counter(owner(each) for each in connections).most_common(1)
    return next(each for each in connections if owner(each) == most)
