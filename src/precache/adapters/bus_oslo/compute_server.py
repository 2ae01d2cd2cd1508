"""The compute's end of the bus: takes requests for one host and answers them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.messages import Malformed, failure_message, read_request, results_message
from precache.adapters.bus_oslo.rpc_server import RpcServer
from precache.adapters.bus_oslo.topics import COMPUTE_TOPIC, RPC_VERSION
from precache.core.errors import PrecacheError, Stopped
from precache.core.jobs import TaskResult
from precache.ports.compute_gateway import CacheRequest

_log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 64
"""Requests that are worked on at once; all but one of each job only wait for that one."""

CacheImages = Callable[[CacheRequest], Sequence[TaskResult]]


class ComputeServer(RpcServer):
    """Answers requests to `host`; at its stop those under way are answered, and are to end by themselves.

    cache_images: called for several requests at once, and again for a request that is asked again; what it raises is
        told to the conductor, except the text of an unexpected error.
    """

    def __init__(self, *, bus: Bus, host: str, cache_images: CacheImages) -> None:
        endpoint = _Endpoint(host, cache_images)
        super().__init__(bus=bus, topic=COMPUTE_TOPIC, server=host, endpoint=endpoint, threads=REQUESTS_AT_ONCE)


class _Endpoint:
    """What oslo.messaging calls. An error is part of the answer: no class name of ours is part of the protocol."""

    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, host: str, cache_images: CacheImages) -> None:
        self._host = host
        self._cache_images = cache_images

    def cache_images(self, _context: object, **message: Any) -> dict[str, Any]:
        try:
            request, expires_at = read_request(message, self._host)
        except Malformed as fault:
            _log.warning("A request to cache images was refused: %s", fault)
            return failure_message("malformed", reason=str(fault))
        now = time.time()
        if now > expires_at:
            # It lay in the queue while we were away. Who still waits for it asks again, knowing our clock.
            _log.info("Ignoring a request of job %s that came too late", request.job_id)
            return failure_message("expired", now=now)
        return self._answer(request)

    def _answer(self, request: CacheRequest) -> dict[str, Any]:
        try:
            return results_message(self._cache_images(request))
        except Stopped:
            return failure_message("stopped")
        except PrecacheError as error:
            return failure_message("failed", reason=str(error))
        except Exception:  # noqa: BLE001  the request boundary of this process
            _log.exception("The request of job %s failed", request.job_id)
            return failure_message("failed", reason=f"unexpected error; the log of the compute on {self._host} has it")
