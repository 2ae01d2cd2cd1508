"""Formats of instants: Nova's, without a time zone, and RFC 3339 under `/v1`."""

from __future__ import annotations

from datetime import UTC, datetime


def nova_instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def rfc3339(instant: datetime | None) -> str | None:
    return None if instant is None else f"{nova_instant(instant)}Z"
