"""The service's own token for the image service, and where its catalogue says that the image service is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from keystoneauth1 import exceptions as ksa
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session

from precache.adapters.http import why_unreachable
from precache.core.errors import ImageNotAuthorized, ImageServiceUnavailable, ServiceTokenUnavailable
from precache.core.images import ImageId

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

FROM_CATALOGUE = "(from the catalogue)"
_REFUSED = (
    "Keystone refuses the credentials in [service_user]; correct its user, password, domains and project, and see that "
    "the user is enabled and has a role in the project"
)


class Credentials:
    """What a session's plugin gives, with failures told as ours; thread-safe.

    Only one thread asks Keystone at a time. Those that waited for it meanwhile share its failure: one after another
    they would wait for a Keystone that hangs.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._asked = 0
        self._failure: ksa.ClientException | None = None

    @property
    def are_none(self) -> bool:
        """True for an image service that asks for no token."""
        return isinstance(self._session.auth, NoAuth)

    def headers(self, image: ImageId) -> dict[str, str]:
        """Give the headers that authenticate a request for this image; Keystone is asked where no token is at hand.

        Raises ImageNotAuthorized if Keystone refuses us, ServiceTokenUnavailable if it is away.
        """
        try:
            headers: dict[str, str] | None = self._ask(lambda: self._session.get_auth_headers())
        except ksa.ClientException as exc:
            if _is_refusal(exc):
                raise ImageNotAuthorized(image, _REFUSED) from exc
            raise _token_unavailable(exc) from exc
        return headers or {}

    def renew(self, rejected: Mapping[str, str], image: ImageId) -> dict[str, str] | None:
        """Give other headers in place of those that the image service rejected; None if there are no others."""
        # Another thread may have renewed them already.
        if self.headers(image) == rejected and not self._session.invalidate():
            return None
        _LOG.info("The image service refuses the token of [service_user]; another one is asked for")
        return self.headers(image)

    def endpoint(self, region_name: str | None, interfaces: Sequence[str]) -> str:
        """Give the URL of the image service in the catalogue.

        Raises ImageServiceUnavailable if it has none, ServiceTokenUnavailable if there is no catalogue to look into.
        """

        def look_up() -> str | None:
            return self._session.get_endpoint(service_type="image", region_name=region_name, interface=list(interfaces))

        try:
            url = self._ask(look_up)
        except ksa.CatalogException:
            url = None
        except ksa.ClientException as exc:
            raise _token_unavailable(exc) from exc
        if not url:
            raise ImageServiceUnavailable(FROM_CATALOGUE, "the catalogue has no image service; set its endpoint")
        return url

    def _ask(self, question: Callable[[], _T]) -> _T:
        asked_before = self._asked
        with self._lock:
            if self._failure is not None and self._asked != asked_before:
                raise self._failure
            try:
                answer = question()
            except ksa.ClientException as exc:
                self._failure = exc
                raise
            else:
                self._failure = None
                return answer
            finally:
                self._asked += 1


def _is_refusal(error: ksa.ClientException) -> bool:
    return isinstance(error, ksa.Unauthorized | ksa.Forbidden)


def _token_unavailable(error: ksa.ClientException) -> ServiceTokenUnavailable:
    if _is_refusal(error):
        return ServiceTokenUnavailable(FROM_CATALOGUE, _REFUSED)
    return ServiceTokenUnavailable(
        FROM_CATALOGUE, f"Keystone gives no token for [service_user]: {why_unreachable(error)}"
    )
