"""Certificates with which the hosts of a swarm know each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HostCertificate:
    """A certificate of one host, which names the host, its cell and its site.

    certificate, authority: in PEM; the second is the authority's, by which the other hosts are checked.
    """

    certificate: str
    authority: str
    ends_at: datetime
