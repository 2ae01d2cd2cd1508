"""Whether a host reaches another one's port, and whether each knows the other: asked by `precache doctor`."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import timedelta

from precache.core.errors import RelayRefused
from precache.core.relays import Peer
from precache.core.swarm_checks import SwarmState
from precache.swarm.host_trust import HostTrust

TIMEOUT = timedelta(seconds=3)
"""For each of the steps to another host; one in the same site answers within milliseconds."""

_REQUEST = b"HEAD / HTTP/1.1\r\nHost: precache\r\nConnection: close\r\n\r\n"


class HostCheck:
    """Returns the state of this host. address: returns where it serves pieces; empty if it serves none."""

    def __init__(self, *, trust: HostTrust, address: Callable[[], str], timeout: timedelta = TIMEOUT) -> None:
        self._trust, self._address, self._timeout_s = trust, address, timeout.total_seconds()

    def __call__(self, peer: Peer | None) -> SwarmState:
        """Return the state, and whether this host reaches the peer; takes seconds if that does not answer."""
        return SwarmState(
            address=self._address(),
            certified_until=self._trust.ends_at if self._trust.is_certified else None,
            unreached="" if peer is None else self._why_unreached(peer),
        )

    def _why_unreached(self, peer: Peer) -> str:
        host, _, port = peer.address.rpartition(":")
        try:
            context = self._trust.client_context()
            with (
                socket.create_connection((host.strip("[]"), int(port)), self._timeout_s) as plain,
                context.wrap_socket(plain) as sock,
            ):
                if not self._trust.is_host(sock, peer.host):
                    return f"another host than {peer.host} answers there"
                # In TLS 1.3 the other end checks our certificate after our handshake: an answer shows that it did.
                sock.sendall(_REQUEST)
                return "" if sock.recv(1) else "it closed the connection without an answer"
        except RelayRefused as error:
            return error.reason
        except TimeoutError:
            return f"no answer within {self._timeout_s:.0f} s"
        except ssl.SSLError as error:
            return f"one of them does not accept the other's certificate ({error.reason or error})"
        except OSError as error:
            return error.strerror or str(error)
