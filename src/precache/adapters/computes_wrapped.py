"""Wrappers for any `ComputeGateway`. Wiring chooses and orders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from precache.core.relays import Assignment
from precache.ports.compute_gateway import CallNumber, ComputeGateway, HostResult, ImagesRequest, Rates
from precache.rules.rate_shares import limited


class RateCapped(ComputeGateway):
    """No host downloads faster than this, whatever its orders and later changes of rates say."""

    def __init__(self, inner: ComputeGateway, *, bytes_per_s: int) -> None:
        self._inner = inner
        self._bytes_per_s = bytes_per_s

    def next_call(self) -> CallNumber:
        return self._inner.next_call()

    def process_images(self, request: ImagesRequest) -> Sequence[HostResult]:
        orders = tuple(limited(order, self._bytes_per_s) for order in request.orders)
        return self._inner.process_images(replace(request, orders=orders))

    def cancel(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:
        self._inner.cancel(job_id, host, cell, retry_count)

    def pause(self, job_id: str, host: str, cell: str, retry_count: int = 0) -> None:
        self._inner.pause(job_id, host, cell, retry_count)

    def limit(self, job_id: str, host: str, cell: str, rates: Rates) -> None:
        capped = {
            image: self._bytes_per_s if rate is None else min(rate, self._bytes_per_s) for image, rate in rates.items()
        }
        self._inner.limit(job_id, host, cell, capped)

    def change_relay(self, host: str, cell: str, assignment: Assignment) -> None:
        self._inner.change_relay(host, cell, assignment)
