"""Nova's compute API as a client with credentials of its own reads it, through keystoneauth.

Each call is one request, or two where a kept connection had been given up or a token had expired. Names no token in
errors or logs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from precache.adapters.http import innermost, is_hang_up
from precache.core.errors import InventoryUnavailable

MICROVERSION = "2.81"
"""The first of a Nova that knows pre-caching; newer ones change nothing that is read here."""

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=30)

_FROM_CATALOGUE = "(from the catalogue)"
_VERSION = re.compile(r"/v\d+(\.\d+)?(/|$)")


class NovaApi:
    """Reads documents; safe for many threads.

    session: a keystoneauth session with the service's own credentials.
    endpoint: URL of the compute API, with or without `/v2.1`; by default the catalogue of the session's credentials
        says, at the first of `interfaces` that it has.
    """

    def __init__(
        self,
        *,
        session: Session,
        endpoint: str | None = None,
        region_name: str | None = None,
        interfaces: Sequence[str] = ("internal", "public"),
        connect_timeout: timedelta = CONNECT_TIMEOUT,
        read_timeout: timedelta = READ_TIMEOUT,
    ) -> None:
        self._session, self._endpoint = session, endpoint
        self._region_name, self._interfaces = region_name, list(interfaces)
        self._timeout = (connect_timeout.total_seconds(), read_timeout.total_seconds())

    def read(self, path: str, rule: str) -> dict[str, Any] | None:
        """Give the document at `path`, such as `/os-aggregates`; None if Nova says that there is no such thing.

        rule: of Nova's policy that lets us read it, for the message if we may not.
        Raises InventoryUnavailable for everything that is no answer of a Nova.
        """
        base = self._base()
        answer = self._get(base, f"{base}{path}")
        document = _document(answer)
        if answer.status_code == 404 and "itemNotFound" in document:
            return None
        if answer.status_code != 200:
            raise InventoryUnavailable(base, _meaning(answer.status_code, rule))
        if not document:
            raise InventoryUnavailable(
                base, f"what it answers to {path} is no document of Nova's; correct the endpoint"
            )
        return document

    def misread(self, path: str, error: Exception) -> InventoryUnavailable:
        """Give the error for a document in which something is missing or of another kind."""
        return InventoryUnavailable(self._base(), f"it does not answer as Nova does to {path}: {error}")

    def _get(self, base: str, url: str) -> requests.Response:
        """Send one GET; a second one at once if the first met a kept connection that the server had given up."""
        try:
            return self._send(url)
        except ksa.ConnectFailure as exc:
            if not is_hang_up(exc):
                raise _translated(base, exc) from exc
        except ksa.ClientException as exc:
            raise _translated(base, exc) from exc
        try:
            return self._send(url)
        except ksa.ClientException as exc:
            raise _translated(base, exc) from exc

    def _send(self, url: str) -> requests.Response:
        headers = {"Accept": "application/json", "OpenStack-API-Version": f"compute {MICROVERSION}"}
        # log=False: keystoneauth would put what it reads into its debug log.
        return self._session.get(
            url, headers=headers, timeout=self._timeout, raise_exc=False, redirect=False, log=False, connect_retries=0
        )

    def _base(self) -> str:
        """Give the root of the API with its version, without a trailing slash."""
        url = self._endpoint
        try:
            url = url or self._session.get_endpoint(
                service_type="compute", region_name=self._region_name, interface=self._interfaces
            )
        except ksa.ClientException as exc:
            raise _translated(_FROM_CATALOGUE, exc) from exc
        if not url:
            raise InventoryUnavailable(
                _FROM_CATALOGUE, "the catalogue has no compute service; set [nova] endpoint_override"
            )
        root = str(url).rstrip("/")
        return root if _VERSION.search(root) else f"{root}/v2.1"


def _document(answer: requests.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _meaning(status: int, rule: str) -> str:
    """Say what a status that is no success means, and what to do."""
    if status == 401:
        return "it refuses the token of [service_user]; check that it asks the same Keystone as we do"
    if status == 403:
        return f"the user in [service_user] lacks the role that Nova's policy asks for in {rule}; give it that role"
    if status == 404:
        return "HTTP status 404; correct [nova] endpoint_override, or the compute service in the catalogue"
    if status == 406:
        return f"it does not know microversion {MICROVERSION}; Nova 21.0.0 (Ussuri) or newer is needed"
    if 300 <= status < 400:
        return f"HTTP status {status} (a redirect); correct [nova] endpoint_override"
    return f"HTTP status {status}"


def _translated(endpoint: str, error: ksa.ClientException) -> InventoryUnavailable:
    """Give our error for keystoneauth's. Only messages that are known to hold no secret are passed on."""
    if isinstance(error, ksa.Unauthorized):
        return InventoryUnavailable(endpoint, "Keystone refuses the credentials in [service_user]; correct them")
    if isinstance(error, ksa.MissingAuthPlugin | ksa.MissingRequiredOptions):
        return InventoryUnavailable(endpoint, "[service_user] has no credentials; fill that section")
    if isinstance(error, ksa.ConnectTimeout):
        return InventoryUnavailable(endpoint, "it does not answer in time")
    if isinstance(error, ksa.SSLError | ksa.ConnectFailure):
        return InventoryUnavailable(endpoint, innermost(error))
    return InventoryUnavailable(endpoint, type(getattr(error, "original", error)).__name__)
