"""Reads server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. name: empty for a comment, which shows that the connection works. data: a JSON object."""

    name: str
    data: dict[str, Any]
    id: str | None = None


def read_events(parts: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Return the events of a body that comes in parts. An incomplete event at the end is dropped."""
    rest = b""
    for part in parts:
        *blocks, rest = (rest + part).split(b"\n\n")
        for block in blocks:
            yield _event(block)


def _event(block: bytes) -> ServerEvent:
    fields: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
    try:
        data = json.loads(fields["data"])
    except (KeyError, ValueError):
        return ServerEvent("", {})
    known = isinstance(data, dict)
    return ServerEvent(fields.get("event", "message") if known else "", data if known else {}, fields.get("id"))
