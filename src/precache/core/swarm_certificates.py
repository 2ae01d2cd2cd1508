"""Certificates with which the hosts of a swarm know each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

CLOCKS_DIFFER_BY = timedelta(minutes=5)
"""At most: a certificate is valid from so long before it was made, and a host whose clock differs by more is refused.
With more, hosts would take tickets, which last for minutes, for over."""


@dataclass(frozen=True, slots=True)
class HostCertificate:
    """A certificate of one host, which names the host, its cell and its site.

    certificate, authority: in PEM; the second is the authority's, by which the other hosts are checked.
    """

    certificate: str
    authority: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """Which host it is, as its certificate says."""

    host: str
    cell: str
    site: str
