"""GETs from an OpenStack service, as its clients here send them, and the JSON documents that it answers with."""

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
from precache.adapters.http.failures import ServiceUnreachable, innermost, is_hang_up, why_unreachable
from precache.rules.nesting import is_too_deep

_log = logging.getLogger(__name__)


class ServiceClient:
    """One service; safe for many threads. Names no token in errors or logs.

    kind: of the service in the catalogue, such as `image`; section: where the configuration names its endpoint.
    session: its credentials are our own.
    endpoint: URL of the service; by default the catalogue of the session's credentials says, at the first of
        `interfaces` that it has.
    Each method raises ServiceUnreachable in place of an answer. An answer has any status, also that of a redirect,
    which is not followed, for it would carry the token on; its body is still to be received, and to be closed.
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

    def root(self) -> str:
        """Return the URL of the service, without a trailing slash."""
        url = self._endpoint or self._credentials.endpoint(self._kind, self._region_name, self._interfaces)
        if not url:
            raise ServiceUnreachable(
                FROM_CATALOGUE, f"the catalogue has no {self._kind} service; set [{self._section}] endpoint_override"
            )
        return url.rstrip("/")

    def get(
        self, root: str, path: str, headers: Mapping[str, str], silence: timedelta, *, as_us: bool
    ) -> requests.Response:
        """Send a GET. silence: the longest time without a byte.

        as_us: with our own token, and with a new one if the service does not accept it any more.
        """
        if not as_us:
            return self._get(root, path, headers, silence)
        ours = self._credentials.headers()
        answer = self._get(root, path, {**headers, **ours}, silence)
        if answer.status_code != 401 or (renewed := self._credentials.renew(ours)) is None:
            return answer
        answer.close()
        _log.info("The %s service refuses the token of [service_user]; it is asked with another one", self._kind)
        return self._get(root, path, {**headers, **renewed}, silence)

    def _get(self, root: str, path: str, headers: Mapping[str, str], silence: timedelta) -> requests.Response:
        """Send one GET; a second one at once if the first met a kept connection that the server had given up.

        Servers drop idle connections when they like (uWSGI without a word), and no client can know beforehand.
        """
        request = {"headers": dict(headers), "timeout": (self._connect_s, silence.total_seconds())}
        try:
            try:
                return self._send(f"{root}{path}", **request)
            except ksa.ConnectFailure as exc:
                if not is_hang_up(exc):
                    raise
            return self._send(f"{root}{path}", **request)
        except ksa.ClientException as exc:
            raise ServiceUnreachable(root, why_unreachable(exc)) from exc

    def _send(self, url: str, **request: Any) -> requests.Response:
        # authenticated=False: the token is among the headers already, for its failures are not the service's.
        # log=False: keystoneauth would put what it reads into its debug log.
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
    """Return what the answer's body says; None if it is no JSON, or none that a service would send.

    Raises ServiceUnreachable if it is too long, too slow or breaks off.
    """
    deadline, body = time.monotonic() + patience.total_seconds(), bytearray()
    try:
        while part := answer.raw.read1(_BLOCK_BYTES, decode_content=True):
            body += part
            if len(body) > longest_bytes:
                raise ServiceUnreachable(endpoint, f"it sends a document of more than {longest_bytes} bytes")
            if time.monotonic() > deadline:
                raise ServiceUnreachable(endpoint, f"its answer did not end within {patience.total_seconds():g} s")
    except (OSError, HTTPError) as exc:
        raise ServiceUnreachable(endpoint, innermost(exc)) from exc
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(document) else document
