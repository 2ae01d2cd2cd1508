"""Makes and reads the messages on the bus, except those that steer a job or describe caches (`*_messages.py`).

Readers ignore unknown fields. They raise Malformed for an invalid message. From a valid message they drop invalid
items, with one line in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from precache.adapters.bus_oslo.fields import (
    Malformed,
    check_host,
    instant_text,
    read_count,
    read_image,
    read_instant,
    read_items,
    read_name,
    read_size,
    read_text,
    read_valid,
)
from precache.adapters.bus_oslo.steering_messages import call_fields, read_call, read_retry_count, retry_fields
from precache.background.deadline import Deadline
from precache.core.bytes_from import NO_BYTES, BytesFrom
from precache.core.errors import InvalidImageId, InvalidOption
from precache.core.hosts import Heartbeat
from precache.core.job_options import DEFAULT_JOB_OPTIONS, MOST_PRIORITY
from precache.core.jobs import Outcome, Phase, TaskPaused, TaskProgress, TaskResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.core.text import plain_line
from precache.ports.compute_gateway import HostResult, ImagesRequest

_log = logging.getLogger(__name__)

_VERSION = re.compile(r"[0-9]{1,5}\.[0-9]{1,5}")
_MOST_BEATS = 100  # a compute sends one; each new host takes a row
_RELEASE_LENGTH = 64
_MOST_ALLOWED_SECONDS = 10**9
_MOST_SECONDS = 2**40  # in about thirty thousand years

_USUAL_PRIORITY = DEFAULT_JOB_OPTIONS.priority

_PAUSED = "paused"  # in the place of an outcome: the task has not ended

_HOST_OUTCOMES = frozenset(Outcome) - {Outcome.SKIPPED, Outcome.EXPIRED}


def request_message(request: ImagesRequest, expires_at: float, allowed_s: float | None = None) -> dict[str, Any]:
    """Return the message.

    expires_at: when no conductor waits for this message any longer, by the clock of the host in seconds since 1970.
    allowed_s: how long the host may take after it has received the message, independent of both clocks.
    """
    return {
        "job_id": request.job_id,
        "host": request.host,
        "cell": request.cell,
        **({} if request.operation is Operation.CACHE else {"operation": request.operation.value}),
        "images": list(request.images),  # for computes of version 1.0
        "orders": [order.document() for order in request.orders],
        "expires_at": round(expires_at, 3),
        **({} if allowed_s is None else {"allowed_seconds": round(allowed_s, 3), "extends": True}),
        **({"cancelled": True} if request.is_cancelled else {}),
        **({"paused": True} if request.is_paused else {}),
        **retry_fields(request.retry_count),
        **({} if request.priority == _USUAL_PRIORITY else {"priority": request.priority}),
        **({} if request.call is None else call_fields(request.call)),
    }


def read_operation(message: Mapping[str, Any]) -> Operation:
    """Return the operation of a message `process_images`. Raises Malformed."""
    word = read_text(message, "operation")
    try:
        return Operation(word)
    except ValueError:
        raise Malformed("operation is not known") from None


def read_request(
    message: Mapping[str, Any], host: str, operation: Operation = Operation.CACHE
) -> tuple[ImagesRequest, float]:
    """Return the request and when it expires. Raises Malformed, also if it is meant for another host."""
    check_host(message, host)
    expires_at = seconds(message.get("expires_at"))
    if expires_at is None:
        raise Malformed("expires_at is not a number of seconds")
    allowed_s = seconds(message.get("allowed_seconds"))  # a conductor of an earlier release sends none
    allowed = None if allowed_s is None else timedelta(seconds=min(allowed_s, _MOST_ALLOWED_SECONDS))
    extends = message.get("extends") is True and allowed is not None
    request = ImagesRequest(
        job_id=read_name(message, "job_id"),
        host=host,
        cell=read_text(message, "cell"),
        orders=_orders(message),
        # Counted from now, the arrival of the message.
        deadline=Deadline(allowed, is_fixed=not extends),
        call_ends=Deadline(allowed, is_fixed=True) if extends else None,
        is_cancelled=message.get("cancelled") is True,
        is_paused=message.get("paused") is True,
        retry_count=read_retry_count(message),
        priority=read_count(message, "priority", MOST_PRIORITY, _USUAL_PRIORITY),
        call=read_call(message) if "sender" in message else None,
        operation=operation,
    )
    return request, expires_at


def results_message(results: Sequence[HostResult]) -> dict[str, Any]:
    return {"results": [_result_message(result) for result in results]}


def failure_message(code: str, **details: object) -> dict[str, Any]:
    """Return the answer for a failure. code: one of docs/protocol.md."""
    return {"error": {"code": code, **details}}


def read_failure(answer: object) -> Mapping[str, Any] | None:
    """Return the error in an answer, with `code` as text; None if the answer has results."""
    if not isinstance(answer, Mapping):
        raise Malformed("the answer is not an object")
    error = answer.get("error")
    if error is None:
        return None
    if not isinstance(error, Mapping) or not isinstance(error.get("code"), str):
        raise Malformed("error has no code")
    return error


def read_results(answer: Mapping[str, Any]) -> list[HostResult]:
    """Return the valid results. Raises Malformed if there is no list of results."""
    return read_valid("a result", read_items(answer, "results"), _read_result)


def heartbeats_message(beats: Sequence[Heartbeat], rpc_version: str) -> dict[str, Any]:
    return {
        "beats": [
            {
                "host": beat.host,
                "driver": beat.driver,
                "rpc_version": rpc_version,
                "incarnation": beat.boot_id,
                "release": beat.release,
                **({"site": beat.site} if beat.site else {}),
                **({"cache_id": beat.cache_id} if beat.cache_id else {}),
            }
            for beat in beats
        ]
    }


def read_heartbeats(message: Mapping[str, Any], cell: str, now: datetime) -> list[Heartbeat]:
    """Return the valid heartbeats, as received now on the bus of `cell`. Raises Malformed."""

    def read(item: Mapping[str, Any]) -> Heartbeat:
        version = read_text(item, "rpc_version")
        if not _VERSION.fullmatch(version):
            raise Malformed("rpc_version is not like 1.0")
        boot_id = read_name(item, "incarnation") if item.get("incarnation") else ""
        release = item.get("release")
        release = plain_line(release, _RELEASE_LENGTH) if isinstance(release, str) else ""  # it is only for display
        site = read_name(item, "site") if item.get("site") else ""
        cache_id = read_name(item, "cache_id") if item.get("cache_id") else ""
        name, driver = read_name(item, "host"), read_name(item, "driver")
        return Heartbeat(name, cell, driver, now, version, boot_id, release, site, cache_id)

    return read_valid("a heartbeat", read_items(message, "beats", _MOST_BEATS), read)


def progress_message(progress: Sequence[TaskProgress]) -> dict[str, Any]:
    return {
        "tasks": [
            {
                "job_id": each.job_id,
                "host": each.host,
                "image": each.image,
                "phase": each.phase.value,
                "bytes_done": each.bytes_done,
                "bytes_total": each.bytes_total,
                **({"parent": each.parent} if each.parent else {}),
                **_source_fields(each.bytes_from),
            }
            for each in progress
        ]
    }


def read_progress(message: Mapping[str, Any], cell: str) -> list[TaskProgress]:
    """Return the valid reports, as received on the bus of `cell`. Raises Malformed."""
    return read_valid("progress", read_items(message, "tasks"), partial(_read_progress, cell))


def read_reason(error: Mapping[str, Any]) -> str:
    """Return the reason of a failure, safe for a log and a terminal; empty if there is none."""
    reason = error.get("reason", "")
    return plain_line(reason) if isinstance(reason, str) else ""


def _result_message(result: HostResult) -> dict[str, Any]:
    if isinstance(result, TaskPaused):
        return {"image": result.image, "outcome": _PAUSED, "bytes_kept": result.bytes_kept}
    return {
        "image": result.image,
        "outcome": result.outcome.value,
        "bytes_moved": result.bytes_moved,
        "reason": result.reason,
        "started_at": instant_text(result.started_at),
        "finished_at": instant_text(result.finished_at),
        **({"may_pass": True} if result.may_pass else {}),
        **_source_fields(result.bytes_from),
        **({"decoded_by": result.decoded_by} if result.decoded_by else {}),
    }


def _source_fields(bytes_from: BytesFrom | None) -> dict[str, Any]:
    return {} if bytes_from is None else {"bytes_from": bytes_from.document()}


def _read_sources(item: Mapping[str, Any]) -> BytesFrom | None:
    """Return from where the bytes came; None if the host does not say it. Raises Malformed."""
    found = item.get("bytes_from")
    if not isinstance(found, Mapping):
        return None
    return BytesFrom(**{source: read_size(found, source) for source in NO_BYTES.document()})


def _read_result(item: Mapping[str, Any]) -> HostResult:
    word = read_text(item, "outcome")
    if word == _PAUSED:
        return TaskPaused(read_image(item.get("image")), read_size(item, "bytes_kept"))
    if word not in _HOST_OUTCOMES:
        raise Malformed("outcome is not one that a host decides")
    reason, decoded_by = item.get("reason", ""), item.get("decoded_by", "")
    return TaskResult(
        read_image(item.get("image")),
        Outcome(word),
        read_size(item, "bytes_moved"),
        reason if isinstance(reason, str) else "",
        read_instant(item.get("started_at")),
        read_instant(item.get("finished_at")),
        item.get("may_pass") is True,
        _read_sources(item),
        decoded_by if isinstance(decoded_by, str) else "",
    )


def _read_progress(cell: str, item: Mapping[str, Any]) -> TaskProgress:
    try:
        phase = Phase(read_text(item, "phase"))
    except ValueError:
        raise Malformed("phase is not known") from None
    return TaskProgress(
        read_name(item, "job_id"),
        read_name(item, "host"),
        read_image(item.get("image")),
        phase,
        read_size(item, "bytes_done"),
        read_size(item, "bytes_total"),
        cell,
        read_name(item, "parent") if item.get("parent") else "",
        _read_sources(item),
    )


def _orders(message: Mapping[str, Any]) -> tuple[ImageOrder, ...]:
    if "orders" not in message:  # a conductor of version 1.0 sends only ids
        return tuple(ImageOrder(read_image(item)) for item in read_items(message, "images"))
    return tuple(_order(item) for item in read_items(message, "orders"))


def _order(item: object) -> ImageOrder:
    try:
        return ImageOrder.read(item if isinstance(item, Mapping) else {})
    except (InvalidImageId, InvalidOption):
        raise Malformed("an order has no image id, or an option with a value that it cannot have") from None


def seconds(value: object) -> float | None:
    """Return a number as seconds; None for a value that is not a number, or not a time of a clock."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST_SECONDS:
        return None
    return float(value)
