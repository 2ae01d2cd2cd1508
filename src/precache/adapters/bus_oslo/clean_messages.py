"""Makes and reads the message `clean_cache` and its answer: what an operator has removed from a host's cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precache.adapters.bus_oslo.fields import (
    MOST_BYTES,
    MOST_ITEMS,
    Malformed,
    check_host,
    instant_text,
    read_flag,
    read_image,
    read_instant,
    read_items,
    read_name,
    read_size,
    read_text,
    read_valid,
)
from precache.core.cache_cleaning import MOST_KEEP_DAYS, CleanedEntry, CleanRequest, CleanResult


def clean_message(host: str, cell: str, request: CleanRequest) -> dict[str, Any]:
    return {
        "host": host,
        "cell": cell,
        "dry_run": request.is_dry_run,
        "all": request.everything,
        "keep_days": request.keep_days,
    }


def read_clean(message: Mapping[str, Any], host: str) -> CleanRequest:
    """Return the request. Raises Malformed, also if the message is meant for another host."""
    check_host(message, host)
    return _read_request(message)


def read_clean_of_host(message: Mapping[str, Any]) -> tuple[str, CleanRequest]:
    """Return the host and the request, for a conductor. Raises Malformed."""
    return read_name(message, "host"), _read_request(message)


def clean_result_message(result: CleanResult) -> dict[str, Any]:
    return {
        "policy": result.policy,
        "refused": result.refused,
        "removed": [_entry_message(entry) for entry in result.removed[:MOST_ITEMS]],
        "kept": [_entry_message(entry) for entry in result.kept[:MOST_ITEMS]],
    }


def read_clean_result(answer: Mapping[str, Any]) -> CleanResult:
    """Return what the host removed. Raises Malformed."""
    return CleanResult(
        policy=read_text(answer, "policy"),
        removed=tuple(read_valid("a removed entry", read_items(answer, "removed"), _read_entry)),
        kept=tuple(read_valid("an entry that stays", read_items(answer, "kept"), _read_entry)),
        refused=read_text(answer, "refused"),
    )


def _read_request(message: Mapping[str, Any]) -> CleanRequest:
    keep_days = None if message.get("keep_days") is None else read_size(message, "keep_days", MOST_KEEP_DAYS)
    try:
        return CleanRequest(read_flag(message, "dry_run"), read_flag(message, "all"), keep_days)
    except ValueError as error:
        raise Malformed(str(error)) from error


def _entry_message(entry: CleanedEntry) -> dict[str, Any]:
    return {
        "entry": entry.entry,
        "image": entry.image,
        "bytes": entry.size_bytes,
        "last_used": instant_text(entry.last_used),
        "reason": entry.reason,
    }


def _read_entry(item: Mapping[str, Any]) -> CleanedEntry:
    return CleanedEntry(
        entry=read_text(item, "entry"),
        image=None if item.get("image") is None else read_image(item["image"]),
        size_bytes=read_size(item, "bytes", MOST_BYTES),
        last_used=read_instant(item.get("last_used")),
        reason=read_text(item, "reason"),
    )
