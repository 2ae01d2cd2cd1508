"""Makes and reads the messages that steer a job on a host: cancel, pause, limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precache.adapters.bus_oslo.fields import MOST_ITEMS, Malformed, check_host, read_count, read_image, read_name
from precache.core.errors import InvalidOption
from precache.core.orders import OrderOptions
from precache.ports.compute_gateway import CallNumber, Rates

_MOST_RETRIES = 2**31 - 1
_MOST_CALLS = 2**63 - 1


def cancel_message(job_id: str, host: str, cell: str, retry_count: int) -> dict[str, Any]:
    return {"job_id": job_id, "host": host, "cell": cell, **retry_fields(retry_count)}


def read_cancel(message: Mapping[str, Any], host: str) -> tuple[str, int]:
    """Return the job and its retry count. Raises Malformed, also if the message is meant for another host."""
    check_host(message, host)
    return read_name(message, "job_id"), read_retry_count(message)


def pause_message(job_id: str, host: str, cell: str, retry_count: int, call: CallNumber) -> dict[str, Any]:
    return {**cancel_message(job_id, host, cell, retry_count), **call_fields(call)}


def read_pause(message: Mapping[str, Any], host: str) -> tuple[str, int, CallNumber]:
    """Return the job, its retry count and the number of the call. Raises Malformed as `read_cancel` does."""
    return *read_cancel(message, host), read_call(message)


def limit_message(job_id: str, host: str, cell: str, rates: Rates, call: CallNumber) -> dict[str, Any]:
    return {"job_id": job_id, "host": host, "cell": cell, "rates": dict(rates), **call_fields(call)}


def read_limit(message: Mapping[str, Any], host: str) -> tuple[str, Rates, CallNumber]:
    """Return the job, the rates and the number of the call. Raises Malformed as `read_cancel` does."""
    job_id, _ = read_cancel(message, host)
    rates = message.get("rates")
    if not isinstance(rates, Mapping) or len(rates) > MOST_ITEMS:
        raise Malformed(f"rates is not an object of at most {MOST_ITEMS} images")
    return job_id, {read_image(image): _rate(rate) for image, rate in rates.items()}, read_call(message)


def _rate(value: object) -> int | None:
    """Return a rate that an order may have. Raises Malformed."""
    try:
        return OrderOptions.read({"rate_limit_bytes_per_s": value}).rate_limit_bytes_per_s
    except InvalidOption:
        raise Malformed("rates has a value that is not a number of bytes per second") from None


def retry_fields(count: int) -> dict[str, Any]:
    return {"retry_count": count} if count else {}


def read_retry_count(message: Mapping[str, Any]) -> int:
    return read_count(message, "retry_count", _MOST_RETRIES)


def call_fields(call: CallNumber) -> dict[str, Any]:
    return {"sender": call.sender, "number": call.number}


def read_call(message: Mapping[str, Any]) -> CallNumber:
    return CallNumber(read_name(message, "sender"), read_count(message, "number", _MOST_CALLS))
