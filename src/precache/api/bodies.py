"""Reads the body of a request: with a size limit, and as JSON that can be stored."""

from __future__ import annotations

import json
from typing import Any

import falcon
from falcon.typing import ReadableIO

from precache.api.refusals import BodyBrokenOff, BodyTooLarge, MalformedBody, WrongContentType
from precache.rules.nesting import is_too_deep

_JSON_TYPES = frozenset({"application/json", "application/vnd.openstack.compute+json"})
_BLOCK_BYTES = 64 * 1024


class BodyReader:
    """Middleware: refuses a body whose announced length is too large, and reads others only when they are needed.

    Nothing is read for an unauthenticated caller or for an operation without a body, because a client that sends an
    incomplete body would block a thread. The server closes such a connection or discards the rest.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Set `req.context.read_body`. Raises BodyTooLarge."""
        if not _is_chunked(req) and (req.content_length or 0) > self._max_bytes:
            raise BodyTooLarge(self._max_bytes)
        req.context.read_body = lambda: self._read(req)

    def _read(self, req: falcon.Request) -> bytes:
        """Return the whole body. Raises BodyTooLarge, BodyBrokenOff, MalformedBody for invalid chunks."""
        try:
            if _is_chunked(req):
                return self._read_to_end(req.stream)
            body = req.bounded_stream.read() if req.content_length else b""
        except OSError as error:
            raise BodyBrokenOff from error
        except ValueError as error:
            raise MalformedBody from error
        if len(body) < (req.content_length or 0):
            raise BodyBrokenOff
        return body

    def _read_to_end(self, stream: ReadableIO) -> bytes:
        body = b""
        while block := stream.read(_BLOCK_BYTES):
            body += block
            if len(body) > self._max_bytes:
                raise BodyTooLarge(self._max_bytes)
        return body


def _is_chunked(req: falcon.Request) -> bool:
    return "chunked" in (req.get_header("Transfer-Encoding") or "").lower()


def check_content_type(content_type: str | None) -> None:
    """Accept JSON, a missing content type, and `text/plain`, which some clients send. Raises
    WrongContentType."""
    name = (content_type or "").partition(";")[0].strip().lower()
    if name not in _JSON_TYPES and name not in ("", "text/plain"):
        raise WrongContentType


def parse_json(raw: bytes, *, has_novas_text: bool = True) -> Any:
    """Return the document, None for an empty body. Raises MalformedBody.

    Text that databases refuse is malformed too: the character NUL and unpaired surrogates.
    has_novas_text: whether the message is Nova's, which gives no reason.
    """
    if not raw:
        return None
    try:
        document = json.loads(raw.decode("utf-8-sig"))
        if is_too_deep(document):
            raise RecursionError
        _check_text(document)
    except (ValueError, RecursionError) as error:
        raise MalformedBody("" if has_novas_text else _why_malformed(error)) from error
    return document


class _NulFound(ValueError):
    """A string has the character NUL."""


def _why_malformed(error: ValueError | RecursionError) -> str:
    match error:
        case json.JSONDecodeError():
            return f"it is no JSON from line {error.lineno}, column {error.colno}"
        case _NulFound():
            return "a text in it has the character NUL, which cannot be stored"
        case UnicodeEncodeError():
            return "a text in it has half of a surrogate pair, which cannot be stored"
        case UnicodeDecodeError():
            return "it is not in UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return "a number in it has too many digits"


def _check_text(document: Any) -> None:
    """Raise ValueError if any string in the document cannot be stored."""
    if isinstance(document, str):
        document.encode()
        if "\0" in document:
            raise _NulFound
    elif isinstance(document, list):
        for item in document:
            _check_text(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            _check_text(key)
            _check_text(value)
