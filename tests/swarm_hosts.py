"""Hosts of a swarm with certificates, in memory: an authority and its hosts, and connections between these."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from datetime import timedelta

from precache.adapters.clock_system import SystemClock
from precache.adapters.swarm_authority import Authority, AuthorityKey
from precache.ports.clock import Clock
from precache.ports.swarm_trust import Ticket
from precache.swarm.host_trust import HostTrust

CELL = "cell1"
SITE = "site1"


@dataclass
class SwarmHosts:
    """Makes hosts that trust one authority, and the texts that it signs for them.

        swarm = SwarmHosts()
        one, two = swarm.host("one"), swarm.host("two")
        ticket = swarm.ticket("relay", "two")

    clock: TLS itself always compares certificates with the clock of the machine.
    """

    clock: Clock = field(default_factory=SystemClock)
    lifetime: timedelta = timedelta(hours=4)

    def __post_init__(self) -> None:
        self.key = AuthorityKey.create(now=self.clock.now())
        self.authority = Authority(keys=[self.key], clock=self.clock, certificate_lifetime=self.lifetime)

    def host(self, name: str, *, cell: str = CELL, site: str = SITE) -> HostTrust:
        """Return the trust of a new host, with its certificate."""
        trust = HostTrust(host=name, cell=cell, clock=self.clock)
        trust.install(self.authority.certify(name, cell, site, trust.signing_request()))
        return trust

    def ticket(
        self,
        relay: str,
        host: str,
        *,
        cell: str = CELL,
        sites: tuple[str, ...] = (SITE,),
        valid_for: timedelta = timedelta(hours=4),
    ) -> str:
        """Return the text of a ticket. By default it outlasts a run of all tests, which are collected before."""
        return self.authority.ticket(Ticket(relay, host, cell, sites, self.clock.now() + valid_for))


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Return both ends of a connection, the server's first, after each has accepted the other. Raises ssl.SSLError.

    A socket pair, without threads: each end in turn does what it can.
    """
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    ends = [
        server.wrap_socket(near, server_side=True, do_handshake_on_connect=False),
        client.wrap_socket(far, do_handshake_on_connect=False),
    ]
    waiting = list(reversed(ends))
    try:
        for _turn in range(20):
            for end in list(waiting):
                try:
                    end.do_handshake()
                    waiting.remove(end)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    continue
            if not waiting:
                for end in ends:
                    end.setblocking(True)
                return ends[0], ends[1]
        raise AssertionError("the handshake does not end")
    except BaseException:
        for end in ends:
            end.close()
        raise
