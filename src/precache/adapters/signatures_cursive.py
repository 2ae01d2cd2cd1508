"""Nova's check of signed images, with the same library and the same messages.

The library itself would use a global key manager; here certificates come through a port.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cursive import certificate_utils, signature_utils
from cursive.exception import SignatureVerificationError

from precache.core.errors import CertificateNotFound, SignatureRefused
from precache.core.images import Image, ImageId
from precache.ports.image_signatures import CertificateSource, SignatureCheck

_log = logging.getLogger(__name__)

NO_TRUSTED = (
    "Image signature certificate validation enabled, but no trusted certificate IDs were provided. Unable to validate "
    "the certificate used to verify the image signature."
)
_MISSING = (
    "Required image properties for signature verification do not exist. Cannot verify signature. Missing property: {}"
)


class CursiveSignatures:
    """The port `ImageSignatures`.

    trusted: ids of certificates; one of them must have signed an image's certificate, directly or indirectly. Empty to
    trust every certificate of the key manager.
    must_validate: refuse every image if `trusted` is empty.
    """

    def __init__(self, *, certificates: CertificateSource, trusted: Sequence[str], must_validate: bool) -> None:
        self._certificates = certificates
        self._trusted = tuple(trusted)
        self._must_validate = must_validate

    def begin(self, image: Image) -> SignatureCheck:
        try:
            return _Check(image.id, self._verifier(image))
        except SignatureVerificationError as error:
            _log.error("Image signature verification failed for image: %s", image.id)
            raise SignatureRefused(image.id, str(error)) from error

    def _verifier(self, image: Image) -> Any:
        given = image.signature
        named = {
            "img_signature_certificate_uuid": given.certificate_id,
            "img_signature_hash_method": given.hash_method,
            "img_signature": given.signature,
            "img_signature_key_type": given.key_type,
        }
        for name, value in named.items():
            if value is None:
                raise SignatureVerificationError(reason=_MISSING.format(name))
        signature = signature_utils.get_signature(given.signature)
        hash_method = signature_utils.get_hash_method(given.hash_method)
        key_type = signature_utils.SignatureKeyType.lookup(given.key_type)
        certificate = self._certificate(str(given.certificate_id))
        self._validate(image.id, str(given.certificate_id), certificate)
        public_key = certificate.public_key()
        if not isinstance(public_key, key_type.public_key_type):
            raise SignatureVerificationError(reason=f"Invalid public key type for signature key type: {key_type.name}")
        verifier = key_type.create_verifier(signature, hash_method, public_key)
        if verifier is None:
            raise SignatureVerificationError(reason="Error occurred while creating the verifier")
        return verifier

    def _validate(self, image: ImageId, certificate_id: str, certificate: x509.Certificate) -> None:
        if not self._trusted:
            if self._must_validate:
                raise SignatureRefused(image, NO_TRUSTED)
            return
        context = certificate_utils.CertificateVerificationContext(list(self._trusted_certificates()))
        try:
            context.update(certificate)
            context.verify()
        except SignatureVerificationError as error:
            reason = f"Image signature certificate validation failed for certificate: {certificate_id}. {error}"
            raise SignatureRefused(image, reason) from error

    def _trusted_certificates(self) -> list[tuple[str, x509.Certificate]]:
        found = []
        for certificate_id in self._trusted:
            try:
                found.append((certificate_id, self._certificate(certificate_id)))
            except SignatureVerificationError:
                _log.warning("Skipping trusted certificate: %s", certificate_id)
        return found

    def _certificate(self, certificate_id: str) -> x509.Certificate:
        try:
            return x509.load_der_x509_certificate(self._certificates.get(certificate_id))
        except CertificateNotFound:
            raise SignatureVerificationError(reason=f"Certificate not found with ID: {certificate_id}") from None
        except ValueError:
            raise SignatureVerificationError(reason=f"Invalid certificate with ID: {certificate_id}") from None


class _Check:
    def __init__(self, image: ImageId, verifier: Any) -> None:
        self._image = image
        self._verifier = verifier

    def update(self, data: memoryview) -> None:
        self._verifier.update(data)

    def verify(self) -> None:
        try:
            self._verifier.verify()
        except InvalidSignature as error:
            _log.error("Image signature verification failed for image %s", self._image)
            raise SignatureRefused(self._image, "the data does not match the signature") from error
        _log.info("Image signature verification succeeded for image %s", self._image)
