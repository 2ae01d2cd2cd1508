"""The signature by which a receiver knows that a request is from this service, and not repeated later."""

from __future__ import annotations

import hashlib
import hmac


def signature(key: bytes, at_s: int, body: bytes) -> str:
    """Return the value of `X-Precache-Signature`: the time, and HMAC-SHA256 over the time, a dot and the body.

    at_s: seconds since 1970.
    """
    signed = hmac.new(key, b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={signed}"
