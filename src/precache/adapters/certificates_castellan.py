"""Certificates from the key manager that Nova uses: Barbican, or the one that [key_manager] backend names."""

from __future__ import annotations

from typing import Any

from castellan import key_manager
from castellan.common.exception import Forbidden, KeyManagerError, ManagedObjectNotFoundError
from castellan.common.objects.x_509 import X509
from keystoneauth1.plugin import BaseAuthPlugin
from oslo_config import cfg
from oslo_context.context import RequestContext

from precache.core.errors import CertificateNotFound, KeyManagerUnavailable


class CastellanCertificates:
    """The port `CertificateSource`. Thread-safe: each request opens a session of its own.

    conf: the parsed configuration, from which castellan reads [key_manager], [barbican] and [vault].
    auth: the credentials; None if the key manager does not use Keystone.
    """

    def __init__(self, *, conf: cfg.ConfigOpts, auth: BaseAuthPlugin | None) -> None:
        self._manager = key_manager.API(conf)
        self._context = _Context(auth)

    def get(self, certificate_id: str) -> bytes:
        try:
            found: Any = self._manager.get(self._context, certificate_id)
        except ManagedObjectNotFoundError as error:
            raise CertificateNotFound(certificate_id) from error
        except (KeyManagerError, Forbidden) as error:
            raise KeyManagerUnavailable(certificate_id, str(error)) from error
        except Exception as error:
            raise KeyManagerUnavailable(certificate_id, f"{type(error).__name__}: {error}") from error
        if not isinstance(found, X509):
            raise CertificateNotFound(certificate_id)
        return bytes(found.get_encoded() or b"")


class _Context(RequestContext):
    """The caller in castellan's form: the service itself."""

    def __init__(self, auth: BaseAuthPlugin | None) -> None:
        super().__init__()
        self._auth = auth

    def get_auth_plugin(self) -> BaseAuthPlugin:
        if self._auth is None:
            raise KeyManagerError(reason="[service_user] is not set, but the key manager requires credentials")
        return self._auth
