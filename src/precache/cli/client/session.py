"""Requests with the caller's token; answers checked and read as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from precache.cli.client.refusals import refusal
from precache.cli.client.transport import Answer, Transport
from precache.cli.errors import AnswerNotUnderstood

_log = logging.getLogger(__name__)

Document = dict[str, Any]
"""One JSON object as the service gave it; keys that a newer service adds pass through."""


class Session:
    """Sends requests on behalf of one caller. The token is sent, never shown."""

    def __init__(self, *, transport: Transport, token: str | None = None) -> None:
        self._transport = transport
        self._standing = {"Accept": "application/json", "User-Agent": "precache"}
        if token:
            self._standing["X-Auth-Token"] = token

    def call(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer of a request that was accepted (2xx); raise the service's refusal otherwise."""
        wanted = {key: value for key, value in (query or {}).items() if value is not None}
        full_url = f"{url}?{urlencode(wanted, errors='surrogateescape')}" if wanted else url
        sent = {**self._standing, **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        answer = self._transport.send(method, full_url, sent, None if body is None else json.dumps(body).encode())
        _log.debug("%s %s: %d, %d bytes", method, full_url, answer.status, len(answer.body))
        if not 200 <= answer.status < 300:
            raise refusal(f"{method} {full_url}", answer)
        return answer

    def read(
        self,
        method: str,
        url: str,
        member: str,
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        """Return the object under the key `member` of the answer."""
        document = self.whole(method, url, query=query, body=body, headers=headers)
        found = document.get(member)
        if not isinstance(found, dict):
            raise AnswerNotUnderstood(f"{method} {url}", f"it has no object {member!r}")
        return found

    def whole(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        """Return the answer's whole JSON object."""
        answer = self.call(method, url, query=query, body=body, headers=headers)
        try:
            document = json.loads(answer.body)
        except ValueError as error:
            kind = answer.headers.get("Content-Type") or "nothing said of its type"
            raise AnswerNotUnderstood(f"{method} {url}", f"it is not JSON ({kind})") from error
        if not isinstance(document, dict):
            raise AnswerNotUnderstood(f"{method} {url}", "it is not a JSON object")
        return document


def objects(document: Document, member: str, what: str) -> list[Document]:
    """Return the list of objects under the key `member`; `what` names the request for the error."""
    found = document.get(member)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise AnswerNotUnderstood(what, f"it has no list {member!r}")
    return found
