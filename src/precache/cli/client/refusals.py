"""Reads the message out of an error answer; four services, four shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from precache.cli.client.transport import Answer, Headers
from precache.cli.errors import RequestRefused, ServiceFailed
from precache.core.errors import PrecacheError

_REQUEST_ID_HEADERS = ("X-Openstack-Request-Id", "X-Compute-Request-Id")


def refusal(what: str, answer: Answer) -> PrecacheError:
    """Make the error for an answer whose status is not 2xx. `what` names the request: `GET http://...`."""
    fault = _fault(answer.body)
    message = _message(fault) or f"{what} answered {answer.status}"
    if answer.status >= 500:
        return ServiceFailed(what, answer.status, _message(fault) or "no message", _request_id(fault, answer.headers))
    if 300 <= answer.status < 400:
        message = f"{what} is redirected to {answer.headers.get('Location')}; give that address with --url"
    if answer.status == 401:
        message = (
            f"{message.rstrip('.')}: the service wants a valid token; set OS_AUTH_URL and its companions, or OS_TOKEN; "
            "for a service without Keystone PRECACHE_TOKEN"
        )
    return RequestRefused(message, answer.status)


def _fault(body: bytes) -> Mapping[str, Any]:
    """Return the object that holds the message: `{"error": {...}}`, `{"badRequest": {...}}`, `{"errors": [{...}]}`."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    for value in document.values():
        candidate = value[0] if isinstance(value, list) and value else value
        if isinstance(candidate, dict):
            return candidate
    return document


def _message(fault: Mapping[str, Any]) -> str:
    found = next((fault[key] for key in ("message", "detail", "title", "description") if fault.get(key)), "")
    return str(found)


def _request_id(fault: Mapping[str, Any], headers: Headers) -> str | None:
    found = fault.get("request_id") or next(filter(None, map(headers.get, _REQUEST_ID_HEADERS)), None)
    return str(found) if found else None
