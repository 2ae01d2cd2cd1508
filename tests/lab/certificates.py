"""Certificates of an authority that tests make up, for TLS on loopback."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = datetime.timedelta(hours=1)
EXPIRED = datetime.timedelta(minutes=-1)

_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_CRITICAL = (x509.BasicConstraints, x509.KeyUsage)


@dataclass(frozen=True)
class Certificate:
    """Of one server: two PEM files, the key readable for its owner alone, as some servers demand."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what makes the sockets of a server in Python speak TLS with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Authority:
    """Signs certificates of servers; `cafile` is what a client needs to accept them.

    What it signs has the extensions that RFC 5280 demands; since Python 3.13 clients refuse certificates without them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        extensions = (x509.BasicConstraints(True, 0), _SIGNS, self._key_identifier())
        certificate = self._sign(self._name, self._key.public_key(), VALID, *extensions)
        self.cafile = directory / "authority.pem"
        self.cafile.write_bytes(_pem(certificate))

    def certificate(
        self,
        *names: str,
        valid_for: datetime.timedelta = VALID,
        directory: Path | None = None,
        names_authority: bool = True,
    ) -> Certificate:
        """Return a certificate for these addresses and names; asked again, another one in the same files.

        directory: where its files go, if not beside the authority's.
        names_authority: with the extension Authority Key Identifier.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        owner = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server of a test")])
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        extensions = [x509.BasicConstraints(False, None), alternatives]
        if names_authority:
            extensions.append(self._key_identifier())
        certificate = self._sign(owner, key.public_key(), valid_for, *extensions)
        stem = (directory or self._directory) / "-".join(names)
        made = Certificate(Path(f"{stem}.pem"), Path(f"{stem}.key"))
        made.cert.write_bytes(_pem(certificate))
        made.key.touch(mode=0o600)
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _sign(
        self,
        name: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        valid_for: datetime.timedelta,
        *extensions: x509.ExtensionType,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + valid_for)
        )
        for extension in (*extensions, x509.SubjectKeyIdentifier.from_public_key(public_key)):
            builder = builder.add_extension(extension, critical=isinstance(extension, _CRITICAL))
        return builder.sign(self._key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
