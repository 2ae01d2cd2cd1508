"""Keys with which a client marks a request, so that it can send it again and gets the same job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

KEY_RULE = "1 to 255 visible ASCII characters"


def is_idempotency_key(text: str) -> bool:
    """Return whether a client may send this as a key: by KEY_RULE."""
    return 1 <= len(text) <= 255 and all("!" <= character <= "~" for character in text)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of one caller, and the body of the request that had it. Both are SHA-256 in hexadecimal.

    digest: of the project, the user and the key, so that no caller meets the keys of another.
    body_digest: of the JSON document; the order of its keys and its white space do not count.
    """

    digest: str
    body_digest: str

    @classmethod
    def of(cls, text: str, *, project_id: str, user_id: str, body: Any) -> IdempotencyKey:
        return cls(_digest([project_id, user_id, text]), _digest(body))


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
