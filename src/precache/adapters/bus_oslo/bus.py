"""One message bus as a client: calls, casts, and whether the broker is up."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import oslo_messaging
from oslo_config import cfg

from precache.adapters.bus_oslo.bus_state import BusState
from precache.adapters.bus_oslo.causes import BUS_ERRORS, cause, is_exchange_missing
from precache.adapters.bus_oslo.library_log import silence_libraries
from precache.adapters.bus_oslo.tls import check_names_by_default, check_tls, tls_weakness, uses_tls
from precache.adapters.bus_oslo.topics import BASE_VERSION, EXCHANGE
from precache.adapters.bus_oslo.url import parse_url, redacted, with_protocol_defaults
from precache.background.backoff import every, retry_until
from precache.background.log_exceptions import log_exceptions
from precache.background.periodic_task import PeriodicTask
from precache.background.threads import run_within, start_thread
from precache.core.errors import BusUnavailable, InvalidConfiguration

_log = logging.getLogger(__name__)

RETRIES = 1
"""How often a send is repeated at once: a connection that was idle during a restart of the broker fails once."""

WATCH_INTERVAL = timedelta(seconds=1)
"""How soon the clients of a bus that make calls notice that its broker is down."""

CLOSE_WITHIN_S = 2.0
CLOSING = "Closing the connections to the message bus"
_MANDATORY = oslo_messaging.TransportOptions(at_least_once=True)  # otherwise a missing receiver is not reported
_NO_RECEIVER = "precache-nobody"
_VERSION_UNKNOWN = "UnsupportedVersion"  # the name of the dispatcher's exception
_CONNECT_RETRY_S = 5.0
_LOOK_INTERVAL_S = 0.2
_LEFT = "it is no longer used"


class QueueMissing(Exception):
    """No process listens under this name."""


class NoAnswer(Exception):
    """The other side sent no sign of life for the time that was allowed."""


class VersionUnknown(Exception):
    """The other side does not know this version of the message."""


class RemoteBug(Exception):
    """The other side failed by a bug; the text is the name of the exception."""


def open_bus(conf: cfg.ConfigOpts, transport_url: str) -> Bus:
    """Return a bus that is not connected yet. conf: the operator's, for the sections [oslo_messaging_*].

    Raises InvalidConfiguration, without any secret, if the URL or those sections are not valid.
    """
    silence_libraries()
    url = parse_url(conf, transport_url)
    check_tls(conf, url, redacted(url))
    return Bus(conf=conf, url=url)


class Bus:
    """Sends calls and casts until `close`. Thread-safe. Its errors and logs contain no user and no password.

    Calls and casts have separate connections: while oslo.messaging waits for the connection on which answers arrive, it
    waits without a limit. A cast is tried for some seconds at most.
    """

    def __init__(self, *, conf: cfg.ConfigOpts, url: Any) -> None:
        self.place = redacted(url)
        self.state = BusState(place=self.place, uses_tls=uses_tls(conf, url))
        self.tls_weakness = tls_weakness(conf, url)
        check_names_by_default(conf, url)
        self._conf = conf
        self._url = url
        try:
            self.transport = self._new_transport()
            self._casts = self._new_transport()
            # Made once, because a new client costs as much as half a call. `prepare` changes its address.
            self._caller, self._caster = self._new_client(self.transport), self._new_client(self._casts)
        except (oslo_messaging.MessagingException, RuntimeError, cfg.Error) as error:
            raise InvalidConfiguration(f"the message bus {self.place} cannot be used: {cause(error)}") from None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._is_watched = False
        self._is_prepared = False
        self._watch = PeriodicTask(
            action=self.probe, interval=WATCH_INTERVAL, what="The check of the message bus", of=self.place
        )
        self._can_call = threading.Event()

    def __repr__(self) -> str:
        return f"<Bus {self.place}>"

    def call(
        self,
        topic: str,
        server: str | None,
        method: str,
        message: Mapping[str, Any],
        *,
        timeout_s: float,
        monitor_s: int,
        version: str = BASE_VERSION,
        is_watched: bool = True,
    ) -> Any:
        """Send a call and return its answer; wait `timeout_s` at most, and `monitor_s` without a sign of life.

        server: None for one of those that listen to the topic.
        is_watched: whether the bus is watched from now on. Without it, a call that finds the broker down looks itself
            whether it is up again: thousands of hosts would load their broker by watching it. If the broker goes down
            during such a call, the library may wait until it is up, whatever `timeout_s` is.
        Raises QueueMissing, NoAnswer, VersionUnknown, RemoteBug; BusUnavailable if it was not sent.
        """
        if is_watched:
            self.watch()
        else:
            self._prepare_calls()
            if self.state.reason:
                self.probe()
        self._wait_until_callable(min(timeout_s, monitor_s))
        client = self._caller.prepare(
            topic=topic,
            server=server,
            version=version,
            timeout=timeout_s,
            call_monitor_timeout=monitor_s,
            transport_options=_MANDATORY,
        )
        try:
            answer = client.call({}, method, **message)
        except oslo_messaging.MessageUndeliverable:
            raise QueueMissing from None
        except oslo_messaging.MessagingTimeout:
            raise NoAnswer from None
        except oslo_messaging.RemoteError as error:
            raise (VersionUnknown() if error.exc_type == _VERSION_UNKNOWN else RemoteBug(error.exc_type)) from None
        except BUS_ERRORS as error:
            if is_exchange_missing(error):
                raise QueueMissing from None
            raise self._unavailable(error) from None
        except Exception as error:  # noqa: BLE001  the library raises any built-in exception that the other side names
            self._check_open()  # a closed bus: the library fails on connections that it has released
            _log.exception("Asking %s failed unexpectedly, there or here", server or topic)
            raise RemoteBug(type(error).__name__) from None
        self.state.note_up()
        return answer

    def cast(
        self,
        topic: str,
        method: str,
        message: Mapping[str, Any],
        *,
        server: str | None = None,
        to_all: bool = False,
        version: str = BASE_VERSION,
    ) -> None:
        """Send a message to the server, to one listener, or to all; without a listener it is dropped.

        Raises BusUnavailable, within seconds.
        """
        self._check_open()
        client = self._caster.prepare(topic=topic, server=server, fanout=to_all, version=version)
        for attempt in range(2):
            try:
                client.cast({}, method, **message)
            except BUS_ERRORS as error:
                if attempt or not is_exchange_missing(error):
                    raise self._unavailable(error) from None
            else:
                break
        self.state.note_up()

    def probe(self) -> bool:
        """Return whether the broker is up, within seconds, and update the state."""
        client = self._caster.prepare(topic=_NO_RECEIVER, server="none", transport_options=_MANDATORY)
        try:
            client.cast({}, "ping")
        except oslo_messaging.MessageUndeliverable:
            self.state.note_up()
        except BUS_ERRORS as error:
            if not is_exchange_missing(error):
                self.note_failure(error)
                return False
        return True

    def close(self) -> None:
        """Close the connections; connections that the library does not release end with the process.

        From now on calls, casts and waits for an answer raise BusUnavailable.
        """
        self._closed.set()
        self._watch.ask_to_stop()
        for transport in (self._casts, self.transport):
            run_within(CLOSE_WITHIN_S, transport.cleanup, name="bus-close", what=CLOSING, of=self.place)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise BusUnavailable(self.place, _LEFT)

    def _new_transport(self) -> Any:
        url = with_protocol_defaults(
            self._conf,
            oslo_messaging.TransportURL(
                self._conf, self._url.transport, self._url.virtual_host, list(self._url.hosts), dict(self._url.query)
            ),
        )
        return oslo_messaging.get_rpc_transport(self._conf, url=url)

    def _new_client(self, transport: Any) -> Any:
        target = oslo_messaging.Target(exchange=EXCHANGE, version=BASE_VERSION)
        return oslo_messaging.get_rpc_client(transport, target, retry=RETRIES)

    def _unavailable(self, error: BaseException) -> BusUnavailable:
        return BusUnavailable(self.place, self.note_failure(error))

    def note_failure(self, error: BaseException) -> str:
        """Record in the state that the bus is down; return a short reason."""
        if self._closed.is_set():
            return _LEFT
        return self.state.note_failure(error)

    def watch(self) -> None:
        """Check from now on every few seconds whether the broker is up; harmless to repeat."""
        self._prepare_calls()
        with self._lock:
            if not self._is_watched:
                self._watch.start()
                self._is_watched = True

    def _prepare_calls(self) -> None:
        """Have the connection for answers made, in a thread of its own; harmless to repeat."""
        with self._lock:
            if not self._is_prepared:
                start_thread(self._make_callable, name=f"bus {self.place}")
                self._is_prepared = True

    def _wait_until_callable(self, timeout_s: float) -> None:
        """Wait until a call can be sent. Raises BusUnavailable at once if the broker is known to be down."""
        until = time.monotonic() + timeout_s
        while True:
            self._check_open()
            if reason := self.state.reason:
                raise BusUnavailable(self.place, reason)
            if self._can_call.wait(_LOOK_INTERVAL_S):
                return
            if time.monotonic() >= until:
                raise BusUnavailable(self.place, "the broker does not answer")

    def _make_callable(self) -> None:
        """Send a call that no server receives, so that the queue for answers exists before it is needed."""
        with log_exceptions(what="Connecting to the message bus", of=self.place, stopping=self._closed):
            retry_until(
                self._call_no_receiver,
                what="The first call over the message bus",
                of=self.place,
                wait=self._closed.wait,
                backoff=every(timedelta(seconds=_CONNECT_RETRY_S)),
                errors=Exception,
                level=logging.DEBUG,
            )
            self._can_call.set()

    def _call_no_receiver(self) -> None:
        """Send the call. Raises BusUnavailable if the broker does not accept it."""
        client = self._caller.prepare(
            topic=_NO_RECEIVER, server=uuid.uuid4().hex, timeout=_CONNECT_RETRY_S, transport_options=_MANDATORY
        )
        try:
            client.call({}, "ping")
        except (oslo_messaging.MessageUndeliverable, oslo_messaging.MessagingTimeout):
            self.state.note_up()
        except BUS_ERRORS as error:
            raise self._unavailable(error) from None
