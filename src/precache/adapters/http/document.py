"""A JSON document out of an answer that is being received: not endless, and not for ever."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from precache.adapters.http.causes import innermost
from precache.adapters.http.failures import ServiceUnreachable
from precache.rules.nesting import is_too_deep

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
