"""A server of oslo.messaging that starts as soon as the broker is up, and stops in bounded time even if it is down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

import oslo_messaging
from oslo_messaging.rpc.server import RPCServer

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.causes import BUS_ERRORS
from precache.adapters.bus_oslo.topics import EXCHANGE
from precache.background.backoff import every, retry_until
from precache.background.daemon_pool import DaemonPool
from precache.background.log_exceptions import log_exceptions
from precache.background.threads import run_within, start_thread
from precache.core.errors import BusUnavailable

P = ParamSpec("P")
T = TypeVar("T")

RETRIES = every(timedelta(seconds=5))


class RpcServer:
    """Passes the messages for `topic` and `server` to `endpoint`, from `start` until `stop`.

    threads: how many messages are handled at once.
    """

    def __init__(self, *, bus: Bus, topic: str, server: str, endpoint: object, threads: int) -> None:
        self._bus = bus
        self._target = oslo_messaging.Target(exchange=EXCHANGE, topic=topic, server=server)
        self._endpoint = endpoint
        self._threads = threads
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._server: Any = None
        self._is_listening = threading.Event()

    def start(self, then: Callable[[], object] | None = None) -> None:
        """Begin as soon as the broker is up; do not wait for it. then: called after that, until it succeeds."""
        start_thread(partial(self._start_when_possible, then), name=f"listen {self._target.topic}")

    def stop(self, patience: timedelta) -> None:
        """Accept no more messages, and wait at most that long until running ones are answered."""
        self._stopping.set()
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            run_within(
                patience.total_seconds(),
                partial(_stop, server),
                name=f"stop {self._target.topic}",
                what="The stop of a server of messages on the message bus",
                of=self._bus.place,
            )

    def wait_until_listening(self, timeout: timedelta) -> bool:
        """Wait until it listens or the time is over; return whether it listens."""
        return self._is_listening.wait(timeout.total_seconds())

    def _start_when_possible(self, then: Callable[[], object] | None) -> None:
        with log_exceptions(what="The start of a server of messages", stopping=self._stopping):
            self._retry(self._begin, "Listening on the message bus")
            if then is not None and self._is_listening.is_set():
                # Retried as well: a host that listens without an announcement would get no requests.
                self._retry(then, "The announcement on the message bus")

    def _retry(self, act: Callable[[], object], what: str) -> None:
        """Call `act` until it succeeds or the server is stopped. The bus logs that the broker is down."""
        retry_until(
            act,
            what=what,
            of=self._bus.place,
            wait=self._stopping.wait,
            backoff=RETRIES,
            errors=Exception,
            level=logging.DEBUG,
        )

    def _begin(self) -> None:
        """Listen, unless it is to stop. Raises BusUnavailable."""
        if not self._bus.probe():  # the library would wait for the broker without a limit, and log nothing
            raise BusUnavailable(self._bus.place, self._bus.state.reason)
        server = oslo_messaging.get_rpc_server(
            self._bus.transport, self._target, [self._endpoint], server_cls=_DaemonServer
        )
        try:
            server.start(override_pool_size=self._threads)
        except (*BUS_ERRORS, oslo_messaging.server.ServerListenError) as error:
            raise BusUnavailable(self._bus.place, self._bus.note_failure(error)) from None
        self._bus.state.note_up()
        with self._lock:
            is_wanted = not self._stopping.is_set()
            self._server = server if is_wanted else None
        if is_wanted:
            self._is_listening.set()
        else:
            _stop(server)


_arrived_at: ContextVar[float] = ContextVar("arrived_at")


def waited_s() -> float:
    """Return for how long the message that this thread handles has waited for a thread."""
    now = time.monotonic()
    return now - _arrived_at.get(now)


class _MessagePool(DaemonPool):
    """Notes when each message arrives: the library puts no limit on how many wait."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        token = _arrived_at.set(time.monotonic())
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            _arrived_at.reset(token)


class _DaemonServer(RPCServer):  # type: ignore[misc]
    """A server with daemon threads. At its end the process would wait for the library's own threads: without a limit,
    if one has an answer to send and the broker is down."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._executor_cls = _MessagePool


def _stop(server: Any) -> None:
    server.stop()
    server.wait()
