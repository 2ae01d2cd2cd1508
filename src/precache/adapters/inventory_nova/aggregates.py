"""Nova's aggregates. They are not cached, so that a job includes hosts that were just added."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from precache.adapters.inventory_nova.api import NovaApi
from precache.core.aggregates import Aggregate
from precache.core.errors import AggregateNotFound

_PATH = "/os-aggregates"
_LARGEST_ID = 2**31 - 1  # the limit of Nova's column; a greater number makes its database fail


class NovaAggregates:
    """The port `AggregateQueries`; each method sends one request."""

    def __init__(self, *, api: NovaApi) -> None:
        self._api = api

    def list_aggregates(self) -> list[Aggregate]:
        found = self._api.read(
            _PATH,
            "os_compute_api:os-aggregates:index",
            lambda document: [_aggregate(record) for record in document["aggregates"]],
        )
        return sorted(found, key=lambda aggregate: aggregate.id)

    def get_aggregate(self, aggregate_id: int) -> Aggregate:
        missing = AggregateNotFound(aggregate_id)
        if not 0 < aggregate_id <= _LARGEST_ID:
            raise missing
        return self._api.read(
            f"{_PATH}/{aggregate_id}",
            "os_compute_api:os-aggregates:show",
            lambda document: _aggregate(document["aggregate"]),
            missing=missing,
        )


def _aggregate(record: dict[str, Any]) -> Aggregate:
    return Aggregate(
        id=int(record["id"]),
        uuid=str(record["uuid"]),
        name=str(record["name"]),
        created_at=_instant(record["created_at"]),
        updated_at=_instant(record["updated_at"]) if record.get("updated_at") else None,
        hosts=tuple(str(host) for host in record["hosts"]),
        metadata={str(key): str(value) for key, value in record["metadata"].items()},
    )


def _instant(text: str) -> datetime:
    """Return Nova's time as aware; it is in UTC but has no time zone."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
