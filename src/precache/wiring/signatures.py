"""Builds the check of signed images, where the configuration asks for it."""

from __future__ import annotations

import logging

from keystoneauth1.plugin import BaseAuthPlugin

from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.ports.image_signatures import ImageSignatures

_log = logging.getLogger(__name__)


def image_signatures(config: Config) -> ImageSignatures | None:
    """Return the check that [glance] asks for; None if it asks for none. Nothing is asked of the key manager yet.

    Raises InvalidConfiguration if what it needs is not installed: without it no image may enter the cache.
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
