"""The service user's token for requests to other services, and the URLs of these services in the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session

from precache.adapters.http.failures import CredentialsRefused, TokenUnavailable, why_unreachable
from precache.adapters.http.session import role_names

_T = TypeVar("_T")

FROM_CATALOGUE = "(from the catalogue)"
_REFUSED = (
    "Keystone refuses the credentials in [service_user]; correct its user, password, domains and project, and see that "
    "the user is enabled and has a role in the project"
)


class Credentials:
    """The token and the catalogue of a session's plugin, with its failures translated; thread-safe.

    Only one thread queries Keystone at a time. Threads that waited meanwhile share its failure: otherwise each of them
    would in turn wait for a Keystone that hangs. All methods except `are_none` raise CredentialsRefused if Keystone
    refuses the credentials, TokenUnavailable if Keystone is unavailable.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._asked = 0
        self._failure: ksa.ClientException | None = None

    @property
    def are_none(self) -> bool:
        """True if the service requires no token."""
        return isinstance(self._session.auth, NoAuth)

    def roles(self) -> frozenset[str] | None:
        """Return the names of the user's roles; None if the credentials are not Keystone's."""
        login = self._session.auth
        return self._ask(lambda: role_names(self._session, login)) if isinstance(login, BaseIdentityPlugin) else None

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request; query Keystone only if there is no valid token yet."""
        return self._ask(lambda: self._session.get_auth_headers()) or {}

    def renew(self, rejected: Mapping[str, str]) -> dict[str, str] | None:
        """Return new headers to replace those that a service rejected; None if there are none."""
        # Another thread may have renewed them already.
        if self.headers() == rejected and not self._session.invalidate():
            return None
        return self.headers()

    def endpoint(self, kind: str, region_name: str | None, interfaces: Sequence[str]) -> str | None:
        """Return the URL of this type of service in the catalogue; None if it is not there."""

        def look_up() -> str | None:
            try:
                return self._session.get_endpoint(
                    service_type=kind, region_name=region_name, interface=list(interfaces)
                )
            except ksa.CatalogException:
                return None

        return self._ask(look_up)

    def _ask(self, question: Callable[[], _T]) -> _T:
        asked_before = self._asked
        with self._lock:
            if self._failure is not None and self._asked != asked_before:
                raise _failure_of(self._failure)
            try:
                answer = question()
            except ksa.ClientException as exc:
                self._failure = exc
                raise _failure_of(exc) from exc
            else:
                self._failure = None
                return answer
            finally:
                self._asked += 1


def _failure_of(error: ksa.ClientException) -> TokenUnavailable:
    if isinstance(error, ksa.Unauthorized | ksa.Forbidden):
        return CredentialsRefused(FROM_CATALOGUE, _REFUSED)
    return TokenUnavailable(FROM_CATALOGUE, f"Keystone gives no token for [service_user]: {why_unreachable(error)}")
