"""Certificates and signatures as an operator would make them, and a place to keep the certificates in."""

from __future__ import annotations

import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa

from precache.core.errors import CertificateNotFound
from precache.core.images import ImageSignature

_NOW = datetime.datetime.now(datetime.UTC)
_DAY = datetime.timedelta(days=1)


def new_key(key_type):
    if key_type == "RSA-PSS":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return dsa.generate_private_key(2048) if key_type == "DSA" else ec.generate_private_key(ec.SECP384R1())


def certificate(subject, key, *, issuer=None, issuer_key=None, is_authority=False, ends_at=_NOW + _DAY):
    """Return a certificate in DER. issuer, issuer_key: None for one that it signs itself."""

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    builder = x509.CertificateBuilder(
        issuer_name=name(issuer or subject),
        subject_name=name(subject),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=_NOW - 2 * _DAY,
        not_valid_after=ends_at,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    builder = builder.add_extension(x509.KeyUsage(True, key_cert_sign=is_authority, **usage), critical=True)
    signed = builder.sign(issuer_key or key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def signature_of(data, key, key_type, certificate_id):
    """Return what Glance's record has for data that this key has signed."""
    if key_type == "RSA-PSS":
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        signed = key.sign(data, scheme, hashes.SHA256())
    elif key_type == "DSA":
        signed = key.sign(data, hashes.SHA256())
    else:
        signed = key.sign(data, ec.ECDSA(hashes.SHA256()))
    return ImageSignature(base64.b64encode(signed).decode(), "SHA-256", key_type, certificate_id)


class MemoryCertificates:
    """The port `CertificateSource` on a mapping."""

    def __init__(self, **certificates):
        self._certificates = certificates

    def get(self, certificate_id):
        if certificate_id not in self._certificates:
            raise CertificateNotFound(certificate_id)
        return self._certificates[certificate_id]
