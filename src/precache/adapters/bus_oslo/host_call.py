"""One request to one host, repeated until the host has answered or the call fails.

A call of oslo.messaging is delivered at most once, and neither it nor its answer survives a restart of the broker. So
the request is repeated: a host that works on it joins the call to that work, and a host that has ended it answers from
memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from precache.adapters.bus_oslo.bus import Bus, NoAnswer, QueueMissing, RemoteBug, VersionUnknown
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import read_failure, read_reason, seconds
from precache.adapters.bus_oslo.topics import COMPUTE_TOPIC
from precache.background.cancel_token import CancelToken
from precache.core.errors import BusUnavailable, ComputeOutdated, ComputeUnreachable, Stopped

T = TypeVar("T")

NO_COMPUTE = "no Precache compute listens there; start it and send the request again"
_LEAST_MONITOR_S = 2  # oslo.messaging sends two signs of life per interval, at most one a second
_RETRY_S = 0.5
_SLACK_S = 1.0
_MOST_EXPIRED = 3

HOST_SHARE = 0.98
"""The share of the remaining time that a host may take: it answers with its results so far before the call ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRequest(Generic[T]):
    """A request to a host, and the reader of its answer.

    version: the lowest version that the message needs.
    message: makes the message from its expiry, by the host's clock in seconds since 1970, and the remaining seconds.
    read: reads an answer without an error. Raises Malformed.
    too_long: the reason of a failure at the deadline, for an operator.
    """

    host: str
    method: str
    version: str
    message: Callable[[float, float], Mapping[str, Any]]
    read: Callable[[Mapping[str, Any]], T]
    too_long: str


class RepeatedCall(Generic[T]):
    """One request to one host. `run` may be called once.

    request_now: returns the request; called before each attempt.
    bus_now: returns the current bus of the host's cell; raises BusUnavailable if there is none.
    deadline: by time.monotonic(). silence_s: how long the host may show no sign of life. stopping: ends it.
    """

    def __init__(
        self,
        *,
        bus_now: Callable[[], Bus],
        request_now: Callable[[], HostRequest[T]],
        deadline: float,
        silence_s: float,
        stopping: CancelToken,
    ) -> None:
        self._bus_now = bus_now
        self._bus = bus_now()
        self._request_now = request_now
        self._request = request_now()
        self._deadline = deadline
        self._allowed_s = deadline - time.monotonic()
        self._limit_s = silence_s
        self._stopping = stopping
        self._silent_s = 0.0  # seconds without a sign of life in which one could have been received
        self._has_been_there = False
        self._clock_ahead_s = 0.0  # difference to the host's clock, known after an answer `expired`
        self._expired = 0

    def run(self) -> T:
        """Return the answer. Raises ComputeUnreachable, ComputeOutdated, Stopped, and what `bus_now` raises."""
        while True:
            answer = self._send_once()
            if answer is not None:
                return answer

    def _send_once(self) -> T | None:
        """Return the answer; None if the request must be repeated."""
        began = time.monotonic()
        left_s = self._deadline - began
        if left_s <= 0:
            raise ComputeUnreachable(self._request.host, self._request.too_long)
        self._stopping.check(f"The request to {self._request.host}")
        self._follow_bus()
        self._request = self._request_now()
        monitor_s = self._next_monitor_s()
        try:
            answer = self._call(left_s, monitor_s)
        except NoAnswer:
            self._has_been_there = True  # at least its queue was there
            self._note_silence(time.monotonic() - began, monitor_s)
        except QueueMissing:
            self._note_missing()
        except BusUnavailable as error:
            self._wait_for_broker(error)
        except VersionUnknown:
            raise ComputeOutdated(self._request.host, self._request.version) from None
        except RemoteBug as error:
            raise ComputeUnreachable(self._request.host, f"it failed ({error}); its log has the details") from None
        else:
            return self._read(answer)
        return None

    def _follow_bus(self) -> None:
        """Continue on the cell's current bus: an operator may have corrected its URL."""
        bus = self._bus_now()
        if bus is not self._bus:
            # The host may work on this request, and may need a while until it listens on the new bus.
            self._bus, self._silent_s, self._has_been_there = bus, 0.0, True

    def _next_monitor_s(self) -> int:
        """Return two thirds of the limit at first, then a third: a running host sends a sign of life in each."""
        share = 1 / 3 if self._silent_s else 2 / 3
        return max(_LEAST_MONITOR_S, int(self._limit_s * share))

    def _call(self, left_s: float, monitor_s: int) -> Any:
        # A host that is silent for the monitor's time is called again, so this message expires then.
        expires_at = time.time() + self._clock_ahead_s + min(left_s, monitor_s)
        return self._bus.call(
            COMPUTE_TOPIC,
            self._request.host,
            self._request.method,
            self._request.message(expires_at, left_s),
            timeout_s=left_s,
            monitor_s=monitor_s,
            version=self._request.version,
        )

    def _note_silence(self, took_s: float, monitor_s: int) -> None:
        if self._bus.state.was_down_within(monitor_s + _SLACK_S):
            self._silent_s = 0.0  # its signs of life could not be received
            return
        was_heard = took_s > monitor_s + _SLACK_S
        self._silent_s = monitor_s if was_heard else self._silent_s + monitor_s
        self._give_up_after_silence()

    def _note_missing(self) -> None:
        is_fresh = not self._bus.state.was_down_within(self._limit_s)
        if is_fresh and not self._has_been_there:
            raise ComputeUnreachable(self._request.host, NO_COMPUTE)
        # After an outage of the broker, or of its own connection, the host reconnects within seconds.
        self._stopping.wait(_RETRY_S)
        if is_fresh:
            self._silent_s += _RETRY_S
            self._give_up_after_silence()

    def _give_up_after_silence(self) -> None:
        if self._silent_s >= self._limit_s - _SLACK_S:
            raise ComputeUnreachable(
                self._request.host, f"no sign of life for {self._limit_s:.0f} seconds; look after its compute"
            )

    def _wait_for_broker(self, error: BusUnavailable) -> None:
        self._silent_s = 0.0
        if self._bus.state.is_up:  # the broker is up again, or the cell has another bus
            self._stopping.wait(_RETRY_S)
        while not self._bus.state.is_up and not self._stopping.is_cancelled:
            # If the host has not begun, no work can be lost, so the job does not wait for this broker.
            is_hopeless = not self._has_been_there and self._bus.state.down_for_s() >= self._limit_s
            if is_hopeless or time.monotonic() >= self._deadline:
                raise ComputeUnreachable(self._request.host, str(error))
            self._bus.state.wait_until_up(_RETRY_S)
            self._follow_bus()

    def _read(self, answer: object) -> T | None:
        try:
            failure = read_failure(answer)
            if failure is None and isinstance(answer, Mapping):
                return self._request.read(answer)
        except Malformed as fault:
            raise ComputeUnreachable(self._request.host, f"its answer is not valid ({fault})") from None
        self._follow_failure(failure or {})
        return None

    def _follow_failure(self, failure: Mapping[str, Any]) -> None:
        """Raise the error that the failure means; return if the request must be repeated."""
        host = self._request.host
        code = failure.get("code")
        if code == "held_back" and (left_s := seconds(failure.get("seconds"))) is not None:
            # A rate limit, or the image of another job, holds the work back: that time does not count.
            self._deadline = time.monotonic() + min(left_s / HOST_SHARE, self._allowed_s)
            self._stopping.wait(_RETRY_S)
            return
        if code == "stopped":
            raise Stopped(f"The compute on {host}")
        if code == "expired" and self._expired < _MOST_EXPIRED:
            self._expired += 1
            self._note_clock(seconds(failure.get("now")))
            return
        reason = read_reason(failure) or f"it answered {str(code)[:40]!r}"
        raise ComputeUnreachable(host, reason)

    def _note_clock(self, now: float | None) -> None:
        if now is not None:
            self._clock_ahead_s = now - time.time()
