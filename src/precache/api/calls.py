"""A request that passed every check, and a handler's answer. Handlers see only these, not HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from precache.api.microversions import Microversion
from precache.ports.policy import Caller

UNAUTHENTICATED = Caller(user_id="", project_id="", roles=())
"""The caller of operations without authentication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    params: the variable parts of the path. query: the query string, checked and converted as the document says.
    body: the checked JSON document; None if the operation has none.
    idempotency_key: the header Idempotency-Key as it was sent; None if it was not.
    base_url: scheme, host and prefix under which the client reaches the service; no slash at the end.
    """

    caller: Caller
    request_id: str
    microversion: Microversion
    base_url: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The response; `content` becomes JSON, None an empty body."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
