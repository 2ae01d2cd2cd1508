"""Refuses requests from web pages of other sites to applications without authentication.

It wraps the API under `noauth`, and the embedded image service.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from precache.api import errors
from precache.api.paths import is_compute
from precache.rules.browser_requests import is_json, is_own_origin, is_own_site, is_served_host
from precache.rules.listen_address import ListenAddress

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FOREIGN_CODE = "precache.request.foreign_page"
_NOT_JSON_CODE = "precache.request.wrong_content_type"

_log = logging.getLogger(__name__)


def guard_browsers(app: WSGIApplication, address: ListenAddress) -> WSGIApplication:
    """Return the application behind the checks of `rules/browser_requests.py`.

    address: where the server listens. The Host header must name it or a loopback name.
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = _refusal(environ, address)
        if refusal is None:
            return app(environ, start_response)
        return _answer(environ, start_response, *refusal)

    return guarded


def _refusal(environ: WSGIEnvironment, address: ListenAddress) -> tuple[int, str, str] | None:
    """Return status, code and message of the first check that fails."""
    host, origin = environ.get("HTTP_HOST"), environ.get("HTTP_ORIGIN")
    if not is_served_host(host, {address.host}):
        return 403, FOREIGN_CODE, (
            f"Without authentication only requests to this machine are answered, not to {host!r}; use 127.0.0.1 or "
            "localhost, and have a proxy set the header Host so"
        )  # fmt: skip
    if not is_own_origin(origin, host) or not is_own_site(environ.get("HTTP_SEC_FETCH_SITE")):
        return 403, FOREIGN_CODE, (
            f"A page of another site ({origin or 'unnamed'}) sent this request; without authentication only pages of "
            "this service may"
        )  # fmt: skip
    if _has_body(environ) and not is_json(environ.get("CONTENT_TYPE")):
        return 415, _NOT_JSON_CODE, "Unsupported Content-Type; give application/json"
    return None


def _has_body(environ: WSGIEnvironment) -> bool:
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ


def _answer(
    environ: WSGIEnvironment, start_response: StartResponse, status: int, code: str, message: str
) -> Iterable[bytes]:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    request_id = f"req-{uuid4()}"
    _log.warning("%s %r %d %s: %s", environ.get("REQUEST_METHOD"), path, status, request_id, message)
    document = (
        errors.nova_body(status, message)
        if is_compute(path)
        else errors.own_body(status, code, message, request_id)
    )  # fmt: skip
    body = json.dumps(document).encode("ascii")
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("x-openstack-request-id", request_id),
    ]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]
