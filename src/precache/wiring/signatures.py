"""Builds the check of signed images, if it is configured."""

from __future__ import annotations

import logging

from keystoneauth1.plugin import BaseAuthPlugin

from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.ports.image_signatures import ImageSignatures

_log = logging.getLogger(__name__)


def image_signatures(config: Config) -> ImageSignatures | None:
    """Return the check of signatures; None if [glance] does not enable it. Sends no request to the key manager yet.

    Raises InvalidConfiguration if a required package is missing: without the check no image may be cached.
    """
    wanted = config.glance.signatures
    if not wanted.must_verify:
        return None
    try:
        from precache.adapters.certificates_castellan import CastellanCertificates
        from precache.adapters.signatures_cursive import CursiveSignatures
    except ImportError as error:
        raise InvalidConfiguration(
            f"[glance] verify_glance_signatures needs packages that are missing ({error.name}); "
            "run pip install 'precache[signatures]'"
        ) from error
    auth: BaseAuthPlugin | None = config.service_user.auth
    certificates = CastellanCertificates(conf=config.oslo, auth=auth)
    return CursiveSignatures(certificates=certificates, trusted=wanted.trusted, must_validate=wanted.must_validate)
