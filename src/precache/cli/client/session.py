"""Sends requests with the caller's token, and reads JSON answers and the messages of errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack
from urllib.parse import unquote, urlencode, urlsplit

from precache.cli.client.endpoints import DEFAULT_URL
from precache.cli.client.events import EVENTS, ServerEvent, read_events
from precache.cli.client.transport import Headers, HttpResponse, Transport
from precache.cli.errors import (
    AnswerLost,
    AnswerNotUnderstood,
    AnswerTimeout,
    NotServedNow,
    RequestInterrupted,
    RequestRefused,
    ServiceFailed,
)
from precache.core.errors import PrecacheError

_NO_CONTENT = 204

_log = logging.getLogger(__name__)

JsonObject = dict[str, Any]
"""One JSON object of the service, unchanged; keys of a newer service are kept."""


Query = Mapping[str, str | int | Sequence[str] | None]
"""Parameters by name; a list is sent as one parameter for each item, None not at all."""


class _Parts(TypedDict, total=False):
    """The parts of a request besides method and URL. A query omits its None values; the body is sent as JSON.

    changes_nothing: whether the request only reads, whatever its method. A GET always does.
    """

    query: Query
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    changes_nothing: bool


class Session:
    """Sends requests for one caller. The token is never printed."""

    def __init__(self, *, transport: Transport, token: str | None = None) -> None:
        self._transport = transport
        self._standing = {"Accept": "application/json", "User-Agent": "precache"}
        if token:
            self._standing["X-Auth-Token"] = token

    def call(self, method: str, url: str, **parts: Unpack[_Parts]) -> HttpResponse:
        """Return the answer of an accepted request (2xx); raise the service's refusal otherwise."""
        wanted = {key: value for key, value in parts.get("query", {}).items() if value is not None}
        full_url = f"{url}?{urlencode(wanted, doseq=True, errors='surrogateescape')}" if wanted else url
        sent = {**self._standing, **parts.get("headers", {})}
        content = None
        if "body" in parts:
            sent["Content-Type"] = "application/json"
            content = json.dumps(parts["body"]).encode()
        is_reading = method == "GET" or parts.get("changes_nothing", False)
        answer = self._send(method, full_url, sent, content, is_reading=is_reading)
        _log.debug("%s %s: %d, %d bytes", method, full_url, answer.status, len(answer.body))
        if not 200 <= answer.status < 300:
            raise refusal(f"{method} {full_url}", answer)
        return answer

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, *, is_reading: bool
    ) -> HttpResponse:
        """Return the answer. Without one, say whether the request may have taken effect."""
        try:
            return self._transport.send(method, url, headers, body)
        except (AnswerTimeout, AnswerLost) as error:
            if is_reading:
                raise
            raise type(error)(error.message, _may_have_been_accepted(url)) from error
        except KeyboardInterrupt as error:
            if is_reading:
                raise
            raise RequestInterrupted(f"Interrupted before the answer; {_may_have_been_accepted(url)}") from error

    @contextmanager
    def follow(
        self, url: str, *, last_event_id: str | None, timeout_s: float
    ) -> Iterator[Iterator[ServerEvent] | None]:
        """Return the events at this URL; None if there are no more. Raises the service's refusal, ServiceUnreachable.

        timeout_s: the longest time without a byte. The events may end at any time; then connect again.
        """
        sent = {**self._standing, "Accept": EVENTS}
        if last_event_id is not None:
            sent["Last-Event-ID"] = last_event_id
        with self._transport.stream(url, sent, timeout_s) as answer:
            _log.debug("GET %s: %d", url, answer.status)
            if answer.status == _NO_CONTENT:
                yield None
                return
            kind = answer.headers.get("Content-Type") or "its type is not given"
            if not 200 <= answer.status < 300:
                raise refusal(f"GET {url}", HttpResponse(answer.status, answer.headers, b"".join(answer.parts)))
            if not kind.startswith(EVENTS):
                raise AnswerNotUnderstood(f"GET {url}", f"it is no stream of events ({kind})")
            yield read_events(answer.parts)

    def read(self, method: str, url: str, member: str, **parts: Unpack[_Parts]) -> JsonObject:
        """Return the object under the key `member` of the answer."""
        document = self.whole(method, url, **parts)
        found = document.get(member)
        if not isinstance(found, dict):
            raise AnswerNotUnderstood(f"{method} {url}", f"it has no object {member!r}")
        return found

    def whole(self, method: str, url: str, **parts: Unpack[_Parts]) -> JsonObject:
        """Return the answer's whole JSON object."""
        answer = self.call(method, url, **parts)
        try:
            document = json.loads(answer.body)
        except ValueError as error:
            kind = answer.headers.get("Content-Type") or "its type is not given"
            raise AnswerNotUnderstood(f"{method} {url}", f"it is not JSON ({kind})") from error
        if not isinstance(document, dict):
            raise AnswerNotUnderstood(f"{method} {url}", "it is not a JSON object")
        return document


def objects(document: JsonObject, member: str, what: str) -> list[JsonObject]:
    """Return the list of objects under the key `member`. what: the request, for the error."""
    found = document.get(member)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise AnswerNotUnderstood(what, f"it has no list {member!r}")
    return found


def _may_have_been_accepted(url: str) -> str:
    path = urlsplit(url).path
    if path.endswith("/clean"):
        command = f"host show {unquote(path.split('/')[-2], errors='surrogateescape')}"
    elif "/jobs" in path or path.endswith("/images"):
        command = "job list"
    else:
        command = "host list" if "/hosts" in path else "aggregate list"
    return f"the request may have been accepted: check with 'precache {command}' before you repeat it"


_UNAVAILABLE = 503
_OF_THE_REQUEST = ("precache.host.", "precache.plan.")
"""Codes of a 503 for which the service is not to blame, so that its log has nothing more."""

_REQUEST_ID_HEADERS = ("X-Openstack-Request-Id", "X-Compute-Request-Id")


def refusal(what: str, answer: HttpResponse) -> PrecacheError:
    """Return the error for an answer whose status is not 2xx. what: the request, such as `GET http://...`."""
    fault = _fault(answer.body)
    message = _message(fault) or f"{what} answered {answer.status}"
    if answer.status == _UNAVAILABLE and str(fault.get("code")).startswith(_OF_THE_REQUEST):
        return NotServedNow(message)
    if answer.status >= 500:
        return ServiceFailed(what, answer.status, _message(fault) or "no message", _request_id(fault, answer.headers))
    if fault.get("code") == "precache.request.no_such_path":
        message = (
            f"{what}: the service has no such path; is the address right? Of Precache itself it ends in front of /v1, "
            f"such as {DEFAULT_URL}"
        )
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
