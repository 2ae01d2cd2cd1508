"""What the conductors sign for hosts: certificates, tickets, and the roots of files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from precache.core.swarm_certificates import HostCertificate


@dataclass(frozen=True, slots=True)
class Ticket:
    """A permission: this host may receive the image of this relay from its hosts, which are in these sites."""

    relay: str
    host: str
    cell: str
    sites: tuple[str, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class RootStatement:
    """A statement: this is the digest of the whole file of this relay, and its size."""

    relay: str
    root: str
    size_bytes: int


class SwarmAuthority(Protocol):
    """The conductors' side. All conductors of a deployment have the same authority."""

    def certify(self, host: str, cell: str, site: str, signing_request: str) -> HostCertificate:
        """Return a certificate. Raises RelayRefused for a request that is none, or that is not signed by its key."""
        ...

    def ticket(self, ticket: Ticket) -> str:
        """Return the signed text of the ticket."""
        ...

    def root(self, statement: RootStatement) -> str:
        """Return the signed text of the statement."""
        ...


class SwarmTrust(Protocol):
    """A host's side: checks what the conductors have signed, with the authority of its own certificate."""

    @property
    def public_key(self) -> str:
        """Return the host's public key, in hexadecimal."""
        ...

    @property
    def is_certified(self) -> bool:
        """Return whether the host has a certificate that is not over. Without one it reads no ticket and no root."""
        ...

    @property
    def why_uncertified(self) -> str:
        """Return why the host has no certificate, as far as it knows."""
        ...

    def ask_for_certificate(self) -> None:
        """Let the host ask for a new certificate within seconds; do not wait."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return the host's signature of the content."""
        ...

    def is_signed(self, content: bytes, signature: bytes, key: str) -> bool:
        """Return whether the owner of this public key has signed the content."""
        ...

    def read_ticket(self, text: str) -> Ticket | None:
        """Return the ticket; None if it is not signed by the authority, or is over."""
        ...

    def is_in_site_of(self, ticket: str) -> bool:
        """Return whether the certificate names a site of the ticket; True for a text that is no valid ticket."""
        ...

    def read_root(self, text: str) -> RootStatement | None:
        """Return the statement; None if it is not signed by the authority."""
        ...
