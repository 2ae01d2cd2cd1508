"""The compute's end of the bus: receives requests for one host and answers them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.contents_messages import contents_message, read_describe
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import (
    failure_message,
    read_cancel,
    read_request,
    results_message,
)
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.topics import COMPUTE_TOPIC, RPC_VERSION
from precache.core.errors import PrecacheError, Stopped
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest
from precache.ports.host_caches import DescribeCacheCall, no_description

_log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 64
"""Concurrent requests to cache images; all but one of each job only wait for that one."""

_WAITING_REQUESTS = 192
"""Further requests that wait for a slot. They have threads, too, so that a request to cancel a job finds one."""

CacheImagesCall = Callable[[CacheRequest], Sequence[TaskResult]]
CancelJobCall = Callable[[str], None]


class ComputeServer(RpcServer):
    """Answers requests to `host`. `stop` waits until running ones are answered; the caller makes them end.

    cache_images: called for several requests at once, and again for a repeated request. cancel_job: called
        with the id of a job, at any time. describe_cache: called with the images of a plan, at any time.
        What they raise is sent to the conductor, except the text of an unexpected error.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        host: str,
        cache_images: CacheImagesCall,
        cancel_job: CancelJobCall,
        describe_cache: DescribeCacheCall = no_description,
        requests_at_once: int = REQUESTS_AT_ONCE,
    ) -> None:
        places = threading.BoundedSemaphore(requests_at_once)
        super().__init__(
            bus=bus,
            topic=COMPUTE_TOPIC,
            server=host,
            endpoint=_ComputeEndpoint(host, cache_images, cancel_job, describe_cache, places),
            threads=requests_at_once + _WAITING_REQUESTS,
        )


class _ComputeEndpoint:
    """The methods that oslo.messaging calls. An error is part of the answer: no class name is part of the protocol."""

    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(
        self,
        host: str,
        cache_images: CacheImagesCall,
        cancel_job: CancelJobCall,
        describe_cache: DescribeCacheCall,
        places: threading.BoundedSemaphore,
    ) -> None:
        self._host = host
        self._places = places
        self._cache_images = cache_images
        self._cancel_job = cancel_job
        self._describe_cache = describe_cache

    def cache_images(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            request, expires_at = read_request(message, self._host)
        except Malformed as fault:
            _log.warning("A request to cache images was refused: %s", fault)
            return failure_message("malformed", reason=str(fault))
        now = time.time()
        if now > expires_at:
            # It waited in the queue while this compute was down. A conductor that still waits sends it again.
            _log.info("Ignoring a request of job %s that came too late", request.job_id)
            return failure_message("expired", now=now)
        with self._places:
            return self._answer(f"job {request.job_id}", lambda: results_message(self._cache_images(request)))

    def cancel_job(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            job_id = read_cancel(message, self._host)
        except Malformed as fault:
            _log.warning("A request to cancel a job was refused: %s", fault)
            return failure_message("malformed", reason=str(fault))
        return self._answer(f"job {job_id}", partial(self._cancel, job_id))

    def describe_cache(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            images = read_describe(message, self._host)
        except Malformed as fault:
            _log.warning("A request to describe the cache was refused: %s", fault)
            return failure_message("malformed", reason=str(fault))
        return self._answer("a plan", lambda: contents_message(self._describe_cache(images)))

    def _cancel(self, job_id: str) -> dict[str, Any]:
        self._cancel_job(job_id)
        return {}

    def _answer(self, purpose: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of `act`, or the message for its error."""
        try:
            return act()
        except Stopped:
            return failure_message("stopped")
        except PrecacheError as error:
            return failure_message("failed", reason=str(error))
        except Exception:  # noqa: BLE001  the request boundary of this process
            _log.exception("A request for %s failed", purpose)
            return failure_message("failed", reason=f"unexpected error; the log of the compute on {self._host} has it")
