"""How a host proves who it is to other hosts, and how it knows them: mutual TLS 1.3 with certificates.

The key pair is new at each start of the process and is never written to a disk. The conductors' authority signs a
certificate for it, which names the host, its cell and its site, and is valid for hours.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from precache.core.errors import ClockWrong, RelayRefused
from precache.core.swarm_certificates import CLOCKS_DIFFER_BY, HostCertificate, HostIdentity
from precache.ports.clock import Clock
from precache.ports.swarm_trust import RootStatement, Ticket
from precache.swarm.identity_names import identity_of
from precache.swarm.signed_texts import read_root, read_ticket

_SIGNED_AS = b"precache host\0"
"""Before what a host signs: a signature of something else by the same key, such as of a TLS handshake, never counts."""

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Installed:
    """What came with one certificate. A connection keeps the context with which it began."""

    identity: HostIdentity
    made_at: datetime
    ends_at: datetime
    authorities: tuple[Ed25519PublicKey, ...]
    server: ssl.SSLContext
    client: ssl.SSLContext


class HostTrust:
    """The port `SwarmTrust`, and the TLS contexts of a host. Thread-safe.

    host, cell: of this process. A certificate for others is refused. cell: empty if only the conductors know it, as on
        a message bus; then the certificate says it.
    """

    def __init__(self, *, host: str, cell: str, clock: Clock) -> None:
        self.host, self._cell, self._clock = host, cell, clock
        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw().hex()
        self._installed: _Installed | None = None
        self._lock = threading.Lock()
        self.why_uncertified = "no conductor has answered yet"
        self._is_asked = threading.Event()

    def signing_request(self) -> str:
        """Return a PKCS #10 request in PEM, from which a conductor makes a certificate."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.host[:64])])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, None)
        return request.public_bytes(Encoding.PEM).decode()

    def install(self, certificate: HostCertificate) -> None:
        """Use this certificate for new connections from now on; those that run keep theirs.

        Call it as soon as a conductor has made it. Raises RelayRefused if it is not a certificate of this host and this
        key; ClockWrong if this host's clock differs from the conductor's. The earlier certificate then stays in use.
        """
        installed = self._checked(certificate)
        with self._lock:
            self._installed = installed
        self._is_asked.clear()

    def ask_for_certificate(self) -> None:
        self._is_asked.set()

    @property
    def is_asked_for(self) -> bool:
        """Return whether a new certificate is wanted before the time of the renewal."""
        return self._is_asked.is_set()

    def note_refusal(self, reason: str) -> None:
        """Note why this host got no certificate."""
        self.why_uncertified = reason

    @property
    def identity(self) -> HostIdentity | None:
        """Return the host with its cell and site; None before there is a certificate."""
        installed = self._installed
        return installed.identity if installed else None

    @property
    def is_certified(self) -> bool:
        """Return whether the host has a certificate that is not over."""
        installed = self._installed
        return installed is not None and self._clock.now() < installed.ends_at

    @property
    def ends_at(self) -> datetime | None:
        """Return when the certificate ends; None before there is one."""
        installed = self._installed
        return installed.ends_at if installed else None

    @property
    def renew_at(self) -> datetime | None:
        """Return when half of the certificate's time is over; None before there is a certificate."""
        installed = self._installed
        if installed is None:
            return None
        return installed.made_at + (installed.ends_at - installed.made_at) / 2

    def server_context(self) -> ssl.SSLContext:
        """Return the context for a new connection from another host. Raises RelayRefused without a valid certificate.

        It accepts every host with a certificate of the authority: `why_refused` says whether this one may have
        anything. Call it for each connection.
        """
        return self._valid().server

    def client_context(self) -> ssl.SSLContext:
        """Return the context for a new connection to another host. Raises RelayRefused without a valid certificate.

        It accepts every host with a certificate of the authority: compare `identify` with the host that is meant.
        """
        return self._valid().client

    def identify(self, sock: ssl.SSLSocket) -> HostIdentity | None:
        """Return which host is at the other end, after the handshake; None if its certificate names none."""
        return certified_identity(sock)

    def is_host(self, sock: ssl.SSLSocket, host: str) -> bool:
        """Return whether this host, of the own cell, is at the other end, after the handshake."""
        found, own = self.identify(sock), self.identity
        return found is not None and own is not None and (found.host, found.cell) == (host, own.cell)

    def why_refused(self, peer: HostIdentity | None, relay: str, ticket_text: str) -> str:
        """Return why this peer may not receive the relay's image from this host, for one log line; empty if it may."""
        own = self.identity
        if own is None:
            return "this host has no certificate"
        if peer is None:
            return "its certificate names no host"
        if peer.cell != own.cell:
            return f"it is host {peer.host} of cell {peer.cell}"
        ticket = self.read_ticket(ticket_text)
        if ticket is None:
            return f"host {peer.host} shows no valid ticket"
        if (ticket.host, ticket.cell) != (peer.host, peer.cell):
            return f"host {peer.host} shows the ticket of host {ticket.host}"
        if ticket.relay != relay:
            return f"host {peer.host} shows a ticket for another image"
        if own.site not in ticket.sites:
            return f"the ticket of host {peer.host} does not name this host's site"
        if peer.site not in ticket.sites:
            return f"host {peer.host} is in site {peer.site}, which its ticket does not name"
        return ""

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(_SIGNED_AS + content)

    def is_signed(self, content: bytes, signature: bytes, key: str) -> bool:
        if not _KEY.fullmatch(key):
            return False
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, _SIGNED_AS + content)
        except InvalidSignature:
            return False
        return True

    def read_ticket(self, text: str) -> Ticket | None:
        ticket = read_ticket(text, self._authorities())
        return ticket if ticket is not None and self._clock.now() < ticket.until else None

    def is_in_site_of(self, ticket: str) -> bool:
        own, read = self.identity, self.read_ticket(ticket)
        return own is None or read is None or own.site in read.sites

    def read_root(self, text: str) -> RootStatement | None:
        return read_root(text, self._authorities())

    def _authorities(self) -> tuple[Ed25519PublicKey, ...]:
        installed = self._installed
        return installed.authorities if installed else ()

    def _valid(self) -> _Installed:
        installed = self._installed
        if installed is None:
            raise RelayRefused(self.host, "it has no certificate from a conductor yet")
        if self._clock.now() >= installed.ends_at:
            raise RelayRefused(self.host, f"its certificate ended at {installed.ends_at:%Y-%m-%d %H:%M:%S} UTC")
        return installed

    def _checked(self, given: HostCertificate) -> _Installed:
        try:
            certificate = x509.load_pem_x509_certificate(given.certificate.encode())
            authorities = x509.load_pem_x509_certificates(given.authority.encode())
            identity = _identity(certificate)
        except ValueError as error:
            raise RelayRefused(self.host, f"a conductor sent a certificate that cannot be read ({error})") from error
        if identity is None or identity.host != self.host or self._cell not in ("", identity.cell):
            raise RelayRefused(self.host, "a conductor sent a certificate for another host")
        if certificate.public_key() != self._key.public_key():
            raise RelayRefused(self.host, "a conductor sent a certificate for another key")
        made_at = certificate.not_valid_before_utc + CLOCKS_DIFFER_BY
        ahead = self._clock.now() - made_at
        if abs(ahead) > CLOCKS_DIFFER_BY:
            raise ClockWrong(self.host, ahead.total_seconds())
        keys = tuple(key for one in authorities if isinstance(key := one.public_key(), Ed25519PublicKey))
        return _Installed(
            identity=identity,
            made_at=made_at,
            ends_at=certificate.not_valid_after_utc,
            authorities=keys,
            server=self._context(given, ssl.PROTOCOL_TLS_SERVER),
            client=self._context(given, ssl.PROTOCOL_TLS_CLIENT),
        )

    def _context(self, given: HostCertificate, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Names are compared by `identify`: they are not DNS names. This must precede verify_mode for a client.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            # No session is resumed: each connection shows a certificate that is valid then.
            context.num_tickets = 0
        try:
            context.load_verify_locations(cadata=given.authority)
            _load_key(context, given.certificate, self._key)
        except ssl.SSLError as error:
            raise RelayRefused(self.host, f"its certificate cannot be used ({error.reason or error})") from error
        return context


def certified_identity(sock: ssl.SSLSocket) -> HostIdentity | None:
    """Return which host the certificate of the other end names; None if it names none. It must have been checked."""
    certificate = sock.getpeercert(binary_form=True)
    return _identity(x509.load_der_x509_certificate(certificate)) if certificate else None


def _identity(certificate: x509.Certificate) -> HostIdentity | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return identity_of(names.get_values_for_type(x509.UniformResourceIdentifier))


def _load_key(context: ssl.SSLContext, certificate: str, key: Ed25519PrivateKey) -> None:
    """Load both. `ssl` reads them only from a file: this one is in memory alone, and has no name."""
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.memfd_create("precache-key", os.MFD_CLOEXEC), "wb", buffering=0) as file:
        file.write(secret + certificate.encode())
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
