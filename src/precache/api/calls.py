"""A request that passed every check, and what a handler gives for it. Handlers see nothing of HTTP but these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from precache.api.microversions import Microversion
from precache.ports.policy import Caller

NOBODY = Caller(user_id="", project_id="", roles=())
"""Who calls where no authentication is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    params: the variable parts of the path. query: the query string, checked and converted as the document says.
    body: the checked JSON document; None where the operation takes none.
    base_url: scheme, host and prefix under which the client reaches the service; no slash at the end.
    """

    caller: Caller
    request_id: str
    microversion: Microversion
    base_url: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back; `content` becomes JSON, None an empty body."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
