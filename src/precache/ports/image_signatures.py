"""Signed images: whether data are what the holder of a certificate has signed, and where certificates are kept."""

from __future__ import annotations

from typing import Protocol

from precache.core.images import Image


class SignatureCheck(Protocol):
    """The check of one image's data, fed from its start to its end by one thread."""

    def update(self, data: memoryview) -> None: ...

    def verify(self) -> None:
        """Return if the signature is that of the data so far. Raises SignatureRefused. Once only."""
        ...


class ImageSignatures(Protocol):
    def begin(self, image: Image) -> SignatureCheck:
        """Prepare the check of an image before its first byte is asked for. Safe for several threads.

        Raises SignatureRefused if it is not signed, or by a certificate that is missing or not trusted;
        KeyManagerUnavailable if that cannot be found out now.
        """
        ...


class CertificateSource(Protocol):
    def get(self, certificate_id: str) -> bytes:
        """Return an X.509 certificate in DER. Raises CertificateNotFound, KeyManagerUnavailable."""
        ...
