"""Signed images: verification of signatures, and the store of certificates."""

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
        """Prepare the check of an image before its download begins. Safe for several threads.

        Raises SignatureRefused if it is not signed, or its certificate is missing or not trusted; KeyManagerUnavailable
        if the key manager does not answer.
        """
        ...


class CertificateSource(Protocol):
    def get(self, certificate_id: str) -> bytes:
        """Return an X.509 certificate in DER. Raises CertificateNotFound, KeyManagerUnavailable."""
        ...
