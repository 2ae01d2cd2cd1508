"""Certificates for hosts, so that they know each other in swarms."""

from __future__ import annotations

from datetime import timedelta

from precache.core.errors import RelayRefused
from precache.core.swarm_certificates import HostCertificate
from precache.ports.inventory import HostQueries
from precache.ports.swarm_trust import SwarmAuthority
from precache.rules.swarm_members import why_no_member, why_silent


class CertifyHosts:
    """The answer to `SwarmPlanner.certify`. What a host says of itself does not count: only its key comes from it.

    service_down_time: of the last heartbeat; a host that is silent for longer gets no certificate.
    """

    def __init__(self, *, hosts: HostQueries, authority: SwarmAuthority, service_down_time: timedelta) -> None:
        self._hosts, self._authority, self._service_down_time = hosts, authority, service_down_time

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:
        """Return a certificate for the host's site of the inventory. cell: on whose bus the host asks.

        Raises RelayRefused; what `HostQueries` and the authority raise.
        """
        found = self._hosts.find_hosts([host]).get(host)
        why = why_no_member(found, cell)
        if found is not None and not why:
            why = why_silent(found, self._service_down_time)
        if found is None or why:
            raise RelayRefused(host, why)
        return self._authority.certify(host, cell, found.site, signing_request)
