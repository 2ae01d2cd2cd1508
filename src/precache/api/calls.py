"""A request that passed every check, and a handler's answer. Handlers see only these, not HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from precache.api.events.stream import EventStream
from precache.api.microversions import Microversion
from precache.ports.policy import Caller

UNAUTHENTICATED = Caller(user_id="", project_id="", roles=())
"""The caller of operations without authentication."""


HANDS_OVER = "precache.hands_over_streams"
"""The key of the WSGI environment with which our own server says that a stream of events occupies no thread of it."""


class Streaming(Enum):
    """What a stream of events costs the server of this request."""

    NO_THREAD = 1
    A_THREAD = 2
    THE_ONLY_THREAD = 3

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> Streaming:
        if environ.get(HANDS_OVER):
            return cls.NO_THREAD
        return cls.A_THREAD if environ.get("wsgi.multithread") else cls.THE_ONLY_THREAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    params: the variable parts of the path. query: the query string, checked and converted as the document says.
    body: the checked JSON document; None if the operation has none.
    idempotency_key: the header Idempotency-Key as it was sent; None if it was not.
    base_url: scheme, host and prefix under which the client reaches the service; no slash at the end.
    last_event_id: the header Last-Event-ID; None without it.
    """

    caller: Caller
    request_id: str
    microversion: Microversion
    base_url: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    idempotency_key: str | None = None
    last_event_id: str | None = None
    streaming: Streaming = Streaming.THE_ONLY_THREAD


@dataclass(frozen=True, slots=True)
class Answer:
    """The response; `content` becomes JSON, None an empty body. events: sent instead of a body, as they come."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: EventStream | None = None
