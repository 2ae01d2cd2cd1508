"""The authority of a deployment, which signs for its hosts: certificates, tickets, and statements of roots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from precache.core.errors import RelayRefused
from precache.core.swarm_certificates import CLOCKS_DIFFER_BY, HostCertificate, HostIdentity
from precache.ports.clock import Clock
from precache.ports.swarm_trust import RootStatement, Ticket
from precache.swarm.identity_names import uris_of
from precache.swarm.signed_texts import write_root, write_ticket

AUTHORITY_LIFETIME = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """The key of an authority, and its certificate, which it has signed itself.

    signs_from: before this time an earlier key signs, so that all hosts know this one when it begins.
    """

    key: Ed25519PrivateKey = field(repr=False)
    certificate: x509.Certificate
    signs_from: datetime

    @classmethod
    def create(cls, *, now: datetime, signs_from: datetime | None = None) -> Self:
        key = Ed25519PrivateKey.generate()
        name = f"Precache swarm {_name(key)}"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key.public_key(), x509.SubjectKeyIdentifier.from_public_key(key.public_key()))
            .not_valid_before(now - CLOCKS_DIFFER_BY)
            .not_valid_after(now + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, None)
        )
        return cls(key, certificate, signs_from or now)

    @classmethod
    def from_pem(cls, *, key: str, certificate: str, signs_from: datetime) -> Self:
        """Return what `key_pem` and `certificate_pem` have written. Raises ValueError for anything else."""
        loaded = load_pem_private_key(key.encode(), None)
        if not isinstance(loaded, Ed25519PrivateKey):
            raise ValueError("the key of the authority is no Ed25519 key")
        return cls(loaded, x509.load_pem_x509_certificate(certificate.encode()), signs_from)

    @property
    def name(self) -> str:
        """Return the beginning of the public key, in hexadecimal."""
        return _name(self.key)

    @property
    def key_pem(self) -> str:
        """Return the key, which is a secret."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_identifier(self) -> x509.SubjectKeyIdentifier:
        return self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value

    @property
    def ends_at(self) -> datetime:
        return self.certificate.not_valid_after_utc


class Authority:
    """The port `SwarmAuthority`. Thread-safe.

    keys: all that hosts are to trust; `signing_key` is the one that signs.
    certificate_lifetime: of the certificates of hosts.
    """

    def __init__(self, *, keys: Sequence[AuthorityKey], clock: Clock, certificate_lifetime: timedelta) -> None:
        self._keys, self._clock, self._lifetime = keys, clock, certificate_lifetime
        self._trusted = "".join(key.certificate_pem for key in keys)

    def certify(self, host: str, cell: str, site: str, signing_request: str) -> HostCertificate:
        public_key = _requested_key(host, signing_request)
        now, signer = self._clock.now(), self._signer()
        ends_at = min(now + self._lifetime, signer.ends_at).replace(microsecond=0)
        names = [x509.UniformResourceIdentifier(uri) for uri in uris_of(HostIdentity(host, cell, site))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        certificate = (
            _builder(subject, signer.certificate.subject, public_key, signer.key_identifier)
            .not_valid_before(now - CLOCKS_DIFFER_BY)
            .not_valid_after(ends_at)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(signer.key, None)
        )
        return HostCertificate(certificate.public_bytes(Encoding.PEM).decode(), self._trusted, ends_at)

    def ticket(self, ticket: Ticket) -> str:
        return write_ticket(ticket, self._signer().key)

    def root(self, statement: RootStatement) -> str:
        return write_root(statement, self._signer().key)

    def _signer(self) -> AuthorityKey:
        return signing_key(self._keys, self._clock.now())


def signing_key(keys: Sequence[AuthorityKey], now: datetime) -> AuthorityKey:
    """Return the last key that may sign already; the first one if the clock is behind that of its maker."""
    return next((key for key in reversed(keys) if key.signs_from <= now), keys[0])


def _name(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw()[:4].hex()


def _requested_key(host: str, signing_request: str) -> Ed25519PublicKey:
    """Return the key of a PKCS #10 request. Raises RelayRefused unless the owner of the key has signed the request."""
    try:
        request = x509.load_pem_x509_csr(signing_request.encode())
        key, is_signed = request.public_key(), request.is_signature_valid
    except Exception as error:  # the library raises many kinds for a malformed request
        raise RelayRefused(host, "its request for a certificate is malformed") from error
    if not is_signed:
        raise RelayRefused(host, "its request for a certificate is not signed with the key in it")
    if not isinstance(key, Ed25519PublicKey):
        raise RelayRefused(host, "its request for a certificate has a key of another kind than Ed25519")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, issuer_key: x509.SubjectKeyIdentifier
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
