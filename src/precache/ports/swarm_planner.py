"""What a host asks of the conductors for a relay: its place, a new one, and a certificate."""

from __future__ import annotations

from typing import Protocol

from precache.core.relays import Assignment, JoinRequest, RelayReport
from precache.core.swarm_certificates import HostCertificate


class SwarmPlanner(Protocol):
    """Any conductor answers, within seconds. Every call may be repeated.

    Each raises ConductorUnreachable if none answers; RelayRefused, with the reason, if the host may not take part.
    """

    def join(self, request: JoinRequest) -> Assignment:
        """Return the host's place in the relay of the image. A host that has a place already gets it again."""
        ...

    def report(self, report: RelayReport) -> Assignment:
        """Accept the report, and return what the host is to do now."""
        ...

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        """Return a certificate for the host. signing_request: a PKCS #10 request in PEM, whose name does not count."""
        ...
