"""Listening on a bus: a server of oslo.messaging that starts as soon as the broker is there, and is stopped in bounded
time even if it is not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import oslo_messaging
from oslo_messaging.rpc.server import RPCServer

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.causes import BUS_ERRORS
from precache.adapters.bus_oslo.daemon_threads import DaemonThreads, run_within
from precache.adapters.bus_oslo.guarded import guarded
from precache.adapters.bus_oslo.topics import EXCHANGE

_RETRY_S = 5.0


class Listening:
    """Has `endpoint` answer what comes in for `topic` and `server`, from `start` until `stop`.

    threads: how many messages may be worked on at once.
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

    def start(self, then: Callable[[], None] | None = None) -> None:
        """Begin as soon as the broker is there; does not wait for it. then: called when that has come about,
        and again if it fails."""
        threading.Thread(
            target=self._start_when_possible, args=(then,), name=f"listen {self._target.topic}", daemon=True
        ).start()

    def stop(self, patience: timedelta) -> None:
        """Take nothing more, let what is under way be answered, and wait for that so long."""
        self._stopping.set()
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            run_within(patience.total_seconds(), lambda: _stop(server), f"stop {self._target.topic}")

    def wait_until_listening(self, timeout: timedelta) -> bool:
        """Return whether it listens, as soon as it does or the time is over."""
        return self._is_listening.wait(timeout.total_seconds())

    def _start_when_possible(self, then: Callable[[], None] | None) -> None:
        what = f"Listening on the message bus {self._bus.place}"
        while not guarded(self._begin, stopping=self._stopping, what=what):
            if self._stopping.wait(_RETRY_S):
                return
        if then is None or not self._is_listening.is_set():
            return
        # Tried again like the rest: a host that listens and is never announced would wait for requests in vain.
        while not guarded(lambda: then() or True, stopping=self._stopping, what=f"What follows on {what.lower()}"):
            if self._stopping.wait(_RETRY_S):
                return

    def _begin(self) -> bool:
        """Return whether no further attempt is needed: it listens, or is not to any more."""
        if not self._bus.probe():  # the library would wait for the broker without end, and say nothing
            return False
        server = oslo_messaging.get_rpc_server(
            self._bus.transport, self._target, [self._endpoint], server_cls=_DaemonServer
        )
        try:
            server.start(override_pool_size=self._threads)
        except (*BUS_ERRORS, oslo_messaging.server.ServerListenError) as error:
            self._bus.note_failure(error)
            return False
        self._bus.state.note_up()
        with self._lock:
            is_wanted = not self._stopping.is_set()
            self._server = server if is_wanted else None
        if is_wanted:
            self._is_listening.set()
        else:
            _stop(server)
        return True


class _DaemonServer(RPCServer):  # type: ignore[misc]
    """The library's own threads are waited for when the process ends: without end, if one has an answer to give and the
    broker is away."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._executor_cls = DaemonThreads


def _stop(server: Any) -> None:
    server.stop()
    server.wait()
