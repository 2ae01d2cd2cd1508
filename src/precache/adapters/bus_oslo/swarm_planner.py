"""The host's end of its questions to the conductors about relays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from precache.adapters.bus_oslo.bus import Bus, NoAnswer, QueueMissing, RemoteBug, VersionUnknown
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import read_failure, read_reason
from precache.adapters.bus_oslo.relay_messages import (
    certify_message,
    join_message,
    read_assignment,
    read_certificate,
    relay_report_message,
)
from precache.adapters.bus_oslo.relay_server import ANSWER_WITHIN, REFUSED
from precache.adapters.bus_oslo.topics import RELAY_TOPIC, SWARM_SINCE
from precache.background.daemon_pool import DaemonPool
from precache.core.errors import BusUnavailable, ConductorUnreachable, RelayRefused
from precache.core.relays import Assignment, JoinRequest, RelayReport
from precache.core.swarm_certificates import HostCertificate

_CALLS_AT_ONCE = 8  # of one host: more than it has relays at the same time

_NO_CONDUCTOR = "none that serves swarms listens on the message bus of this cell"
_TOO_LATE = "none answered within {:.0f} seconds"
_FAILED = "it failed; its log has the details"

T = TypeVar("T")


class BusSwarmPlanner:
    """The port `SwarmPlanner` over the bus of the host's cell. The receiver adds the cell.

    within: how long each call may take in all, also if the broker is down.
    """

    def __init__(self, *, bus: Bus, within: timedelta = ANSWER_WITHIN) -> None:
        self._bus = bus
        self._within_s = within.total_seconds()
        # The library waits without a limit while it connects; the caller does not.
        self._pool = DaemonPool(_CALLS_AT_ONCE, name="relay call")

    def join(self, request: JoinRequest) -> Assignment:
        return self._ask("join_relay", request.host, join_message(request), _assignment_for(request.host))

    def report(self, report: RelayReport) -> Assignment:
        return self._ask("report_relay", report.host, relay_report_message(report), _assignment_for(report.host))

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:  # noqa: ARG002  the bus tells it
        return self._ask("certify_host", host, certify_message(host, signing_request), read_certificate)

    def _ask(self, method: str, host: str, message: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
        """Return the answer. Raises ConductorUnreachable, RelayRefused."""
        call = None
        try:
            call = self._pool.submit(self._call, method, message)
            answer = call.result(self._within_s)
            if failure := read_failure(answer):
                reason = read_reason(failure) or _FAILED
                raise RelayRefused(host, reason) if failure["code"] == REFUSED else ConductorUnreachable(reason)
            return read(answer)
        except Malformed as fault:
            raise ConductorUnreachable(f"its answer is not valid ({fault})") from None
        except (QueueMissing, VersionUnknown):
            raise ConductorUnreachable(_NO_CONDUCTOR) from None
        except (NoAnswer, TimeoutError):
            if call is not None:
                call.cancel()  # one that has not begun is not sent later
            raise ConductorUnreachable(_TOO_LATE.format(self._within_s)) from None
        except RemoteBug as error:
            raise ConductorUnreachable(f"it failed ({error}); its log has the details") from None
        except (BusUnavailable, RuntimeError) as error:
            raise ConductorUnreachable(str(error)) from error

    def _call(self, method: str, message: Mapping[str, Any]) -> Any:
        return self._bus.call(
            RELAY_TOPIC,
            None,
            method,
            message,
            timeout_s=self._within_s,
            monitor_s=max(1, int(self._within_s)),
            version=SWARM_SINCE,
            is_watched=False,
        )


def _assignment_for(host: str) -> Callable[[Mapping[str, Any]], Assignment]:
    return lambda answer: read_assignment(answer, host)
