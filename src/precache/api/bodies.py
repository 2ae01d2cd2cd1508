"""Reads the body of a request: bounded, whatever length its sender announces, and as JSON that can be stored."""

from __future__ import annotations

import json
from typing import Any

import falcon
from falcon.typing import ReadableIO

from precache.api.refusals import BodyTooLarge, MalformedBody, WrongContentType

_JSON_TYPES = frozenset({"application/json", "application/vnd.openstack.compute+json"})
_BLOCK_BYTES = 64 * 1024
# How much of a body that is too long is read off, so that the next request on the connection starts where it should.
_DRAIN_BYTES = 16 * 1024 * 1024


class BodyReader:
    """Middleware: has the whole body in `req.context.raw_body` before anything else looks at the request.

    It comes before authentication, as in Nova, and therefore must bound what a stranger can make us hold.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Raises BodyTooLarge."""
        req.context.raw_body = b""
        if _is_chunked(req):
            req.context.raw_body = self._read_to_end(req.stream)
        elif req.content_length:
            if req.content_length > self._max_bytes:
                raise BodyTooLarge(self._max_bytes)
            req.context.raw_body = req.bounded_stream.read()

    def _read_to_end(self, stream: ReadableIO) -> bytes:
        body = b""
        while len(body) <= self._max_bytes:
            block = stream.read(_BLOCK_BYTES)
            if not block:
                return body
            body += block
        drained = 0
        while drained < _DRAIN_BYTES and (block := stream.read(_BLOCK_BYTES)):
            drained += len(block)
        raise BodyTooLarge(self._max_bytes)


def _is_chunked(req: falcon.Request) -> bool:
    return "chunked" in (req.get_header("Transfer-Encoding") or "").lower()


def check_content_type(content_type: str | None) -> None:
    """Accept JSON, no word at all, and `text/plain`, which some clients send for want of a better. Raises
    WrongContentType."""
    name = (content_type or "").partition(";")[0].strip().lower()
    if name not in _JSON_TYPES and name not in ("", "text/plain"):
        raise WrongContentType


def parse_json(raw: bytes) -> Any:
    """Give the document, None for an empty body. Raises MalformedBody.

    What no database takes is malformed, too: the character NUL and halves of surrogate pairs.
    """
    if not raw:
        return None
    try:
        document = json.loads(raw.decode("utf-8-sig"))
        _check_text(document)
    except (ValueError, RecursionError) as error:
        raise MalformedBody from error
    return document


def _check_text(document: Any) -> None:
    """Raise ValueError if any string in the document cannot be stored."""
    if isinstance(document, str):
        document.encode()
        if "\0" in document:
            raise ValueError("NUL")
    elif isinstance(document, list):
        for item in document:
            _check_text(item)
    elif isinstance(document, dict):
        for key, value in document.items():
            _check_text(key)
            _check_text(value)
