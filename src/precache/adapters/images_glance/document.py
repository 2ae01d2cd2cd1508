"""A JSON document out of an answer that is being received: not endless, and not for ever."""

from __future__ import annotations

import json
import time
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from precache.adapters.http import innermost
from precache.core.errors import ImageServiceUnavailable

_LONGEST_BYTES = 1 << 20  # a record has a few kB, with all the properties that Glance's quota admits some 100 kB
_BLOCK_BYTES = 1 << 16


def read_document(answer: requests.Response, endpoint: str, patience_s: float) -> Any:
    """Give what the answer's body says. Raises ImageServiceUnavailable if it is no JSON, too long or too slow."""
    deadline, body = time.monotonic() + patience_s, b""
    try:
        while part := answer.raw.read1(_BLOCK_BYTES, decode_content=True):
            body += part
            if len(body) > _LONGEST_BYTES:
                raise ImageServiceUnavailable(endpoint, f"it sends a record of more than {_LONGEST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ImageServiceUnavailable(endpoint, f"its record did not come within {patience_s:.0f} s")
    except (OSError, HTTPError) as exc:
        raise ImageServiceUnavailable(endpoint, innermost(exc)) from exc
    try:
        return json.loads(body)
    except ValueError as exc:
        raise ImageServiceUnavailable(endpoint, "it does not answer as Glance does: the answer is no JSON") from exc
