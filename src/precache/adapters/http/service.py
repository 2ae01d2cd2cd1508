"""GET requests to an OpenStack service, and the JSON documents in its answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session
from urllib3.exceptions import HTTPError

from precache.adapters.http.credentials import FROM_CATALOGUE, Credentials
from precache.adapters.http.failures import HttpRequestFailed, innermost, is_disconnect, why_unreachable
from precache.rules.nesting import is_too_deep

_log = logging.getLogger(__name__)


class ServiceClient:
    """One service; thread-safe. Writes no token into errors or logs.

    kind: the service's type in the catalogue, such as `image`; section: the configuration section of its endpoint.
    session: its credentials are those of the service user.
    endpoint: URL of the service; by default from the catalogue of the session's credentials, by the first of
    `interfaces` that is there. Each method raises HttpRequestFailed if there is no answer. An answer can have any
    status. Redirects are not followed, because the token would be sent to their target. The caller must read and close
    the answer's body.
    """

    def __init__(
        self,
        *,
        kind: str,
        section: str,
        session: Session,
        endpoint: str | None,
        region_name: str | None,
        interfaces: Sequence[str],
        connect_timeout: timedelta,
    ) -> None:
        self._kind, self._section = kind, section
        self._session, self._credentials = session, Credentials(session)
        self._endpoint, self._region_name, self._interfaces = endpoint, region_name, tuple(interfaces)
        self._connect_s = connect_timeout.total_seconds()

    @property
    def has_credentials(self) -> bool:
        return not self._credentials.are_none

    def roles(self) -> frozenset[str] | None:
        """Return the roles of the service user; None if the credentials are not Keystone's."""
        return self._credentials.roles()

    def root(self) -> str:
        """Return the URL of the service, without a trailing slash."""
        url = self._endpoint or self._credentials.endpoint(self._kind, self._region_name, self._interfaces)
        if not url:
            raise HttpRequestFailed(
                FROM_CATALOGUE, f"the catalogue has no {self._kind} service; set [{self._section}] endpoint_override"
            )
        return url.rstrip("/")

    def get(
        self, root: str, path: str, headers: Mapping[str, str], silence: timedelta, *, as_service_user: bool
    ) -> requests.Response:
        """Send a GET request. silence: the longest time without a byte.

        as_service_user: send the service user's token, and a new one if the service no longer accepts it.
        """
        if not as_service_user:
            return self._get(root, path, headers, silence)
        own_headers = self._credentials.headers()
        answer = self._get(root, path, {**headers, **own_headers}, silence)
        if answer.status_code != 401 or (renewed := self._credentials.renew(own_headers)) is None:
            return answer
        answer.close()
        _log.info("The %s service refuses the token of [service_user]; it is asked with another one", self._kind)
        return self._get(root, path, {**headers, **renewed}, silence)

    def _get(self, root: str, path: str, headers: Mapping[str, str], silence: timedelta) -> requests.Response:
        """Send a GET request; repeat it at once if it was sent on a kept connection that the server had closed.

        Servers close idle connections at any time (uWSGI without notice), and a client cannot know it beforehand.
        """
        request = {"headers": dict(headers), "timeout": (self._connect_s, silence.total_seconds())}
        try:
            try:
                return self._send(f"{root}{path}", **request)
            except ksa.ConnectFailure as exc:
                if not is_disconnect(exc):
                    raise
            return self._send(f"{root}{path}", **request)
        except ksa.ClientException as exc:
            raise HttpRequestFailed(root, why_unreachable(exc)) from exc

    def _send(self, url: str, **request: Any) -> requests.Response:
        # authenticated=False: the token is in the headers already, because failures to get one are not the service's.
        # log=False: else keystoneauth writes the answer's body into its debug log.
        return self._session.get(
            url,
            authenticated=False,
            stream=True,
            raise_exc=False,
            redirect=False,
            log=False,
            connect_retries=0,
            **request,
        )


_BLOCK_BYTES = 1 << 16


def read_document(answer: requests.Response, endpoint: str, *, longest_bytes: int, patience: timedelta) -> Any:
    """Return the JSON document of the answer's body; None if it is not JSON, or is nested too deeply.

    Raises HttpRequestFailed if the body is too long, too slow or incomplete.
    """
    deadline, body = time.monotonic() + patience.total_seconds(), bytearray()
    try:
        while part := answer.raw.read1(_BLOCK_BYTES, decode_content=True):
            body += part
            if len(body) > longest_bytes:
                raise HttpRequestFailed(endpoint, f"it sends a document of more than {longest_bytes} bytes")
            if time.monotonic() > deadline:
                raise HttpRequestFailed(endpoint, f"its answer did not end within {patience.total_seconds():g} s")
    except (OSError, HTTPError) as exc:
        raise HttpRequestFailed(endpoint, innermost(exc)) from exc
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(document) else document
