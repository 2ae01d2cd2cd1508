"""A reading client of Nova's compute API with the service user's credentials, through keystoneauth.

Each call sends one request, or two if a kept connection was closed or a token has expired. Writes no token into errors
or logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from keystoneauth1.session import Session

from precache.adapters.http import HttpRequestFailed, ServiceClient, read_document
from precache.core.errors import InventoryUnavailable, PrecacheError

_T = TypeVar("_T")

MICROVERSION = "2.81"
"""The first microversion with pre-caching; newer ones change nothing that is read here."""

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=30)
DOCUMENT_TIMEOUT = timedelta(seconds=60)

LONGEST_DOCUMENT_BYTES = 64 << 20
"""A service or a host of an aggregate takes a few hundred bytes; a deployment has thousands of both."""

_HEADERS = {"Accept": "application/json", "OpenStack-API-Version": f"compute {MICROVERSION}"}
_VERSION = re.compile(r"/v\d+(\.\d+)?(/|$)")


class NovaApi:
    """Reads documents; thread-safe.

    session: a keystoneauth session with the service's own credentials.
    endpoint: URL of the compute API, with or without `/v2.1`; by default from the catalogue of the session's
    credentials, by the first of `interfaces` that is there.
    read_timeout: the longest silence; document_timeout: the longest time for a whole document once it began.
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
        document_timeout: timedelta = DOCUMENT_TIMEOUT,
    ) -> None:
        self._service = ServiceClient(
            kind="compute",
            section="nova",
            session=session,
            endpoint=endpoint,
            region_name=region_name,
            interfaces=interfaces,
            connect_timeout=connect_timeout,
        )
        self._read_timeout, self._document_timeout = read_timeout, document_timeout

    def read(self, path: str, rule: str, parse: Callable[[Any], _T], *, missing: PrecacheError | None = None) -> _T:
        """Return the result of `parse` for the document at `path`, such as `/os-aggregates`.

        rule: the rule of Nova's policy that allows the request; the message names it if Nova refuses.
        parse: raises KeyError, TypeError, ValueError or AttributeError if the document is not Nova's.
        missing: raised if Nova answers 404; None if a Nova never answers 404 to this path.
        Raises InventoryUnavailable for every other failure.
        """
        try:
            root = self._root()
            with self._service.get(root, path, _HEADERS, self._read_timeout, as_service_user=True) as answer:
                document = read_document(
                    answer, root, longest_bytes=LONGEST_DOCUMENT_BYTES, patience=self._document_timeout
                )
        except HttpRequestFailed as exc:
            raise InventoryUnavailable(exc.endpoint, exc.reason) from exc
        match answer.status_code, document:
            case 200, _:
                pass
            case 404, {"itemNotFound": _} if missing is not None:  # else every Nova has this path
                raise missing
            case status, _:
                raise InventoryUnavailable(root, _meaning(status, rule))
        try:
            return parse(document)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            why = f"what it answers to {path} is no document of Nova's ({exc!r}); correct the endpoint"
            raise InventoryUnavailable(root, why) from exc

    def _root(self) -> str:
        """Return the URL of the API with its version."""
        root = self._service.root()
        return root if _VERSION.search(root) else f"{root}/v2.1"


def _meaning(status: int, rule: str) -> str:
    """Return the meaning of a status other than success, and the advice."""
    if status == 401:
        return "it refuses the token of [service_user]; check that it uses the same Keystone as Precache"
    if status == 403:
        return f"the user in [service_user] lacks the role that Nova's policy asks for in {rule}; give it that role"
    if status == 404:
        return "HTTP status 404; correct [nova] endpoint_override, or the compute service in the catalogue"
    if status == 406:
        return f"it does not know microversion {MICROVERSION}; Nova 21.0.0 (Ussuri) or newer is needed"
    if 300 <= status < 400:
        return f"HTTP status {status} (a redirect); correct [nova] endpoint_override"
    return f"HTTP status {status}"
