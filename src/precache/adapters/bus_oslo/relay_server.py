"""The conductor's end of what the hosts of a cell ask for their relays. Apart from heartbeats, because each question
reads and writes the database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import oslo_messaging

from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.fields import Malformed
from precache.adapters.bus_oslo.messages import failure_message
from precache.adapters.bus_oslo.relay_messages import (
    assignment_message,
    certificate_message,
    read_certify,
    read_join,
    read_relay_report,
)
from precache.adapters.bus_oslo.rpc_server import RpcServer, waited_s
from precache.adapters.bus_oslo.topics import RELAY_TOPIC, RPC_VERSION
from precache.core.errors import ConductorUnreachable, PrecacheError, RelayRefused
from precache.ports.swarm_planner import SwarmPlanner

_log = logging.getLogger(__name__)

QUESTIONS_AT_ONCE = 8
"""Of the hosts of a cell: some hundred a second, and no more connections to the database than a conductor has."""

ANSWER_WITHIN = timedelta(seconds=5)
"""How long a host waits for an answer, which takes some milliseconds. It asks again."""

REFUSED = "refused"
"""The code of docs/protocol.md for RelayRefused."""


class RelayServer(RpcServer):
    """Answers the hosts of `cell`; one of several conductors gets each question.

    planner: called by several threads at once, while hosts wait for the answer.
    """

    def __init__(self, *, bus: Bus, cell: str, planner: SwarmPlanner) -> None:
        endpoint = _RelayEndpoint(cell, planner)
        super().__init__(bus=bus, topic=RELAY_TOPIC, server=cell, endpoint=endpoint, threads=QUESTIONS_AT_ONCE)


class _RelayEndpoint:
    """The methods that oslo.messaging calls. An error is part of the answer."""

    target = oslo_messaging.Target(version=RPC_VERSION)

    def __init__(self, cell: str, planner: SwarmPlanner) -> None:
        self._cell, self._planner = cell, planner

    def join_relay(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._answer("join", lambda: assignment_message(self._planner.join(read_join(message, self._cell))))

    def report_relay(self, _context: object, **message: Any) -> dict[str, Any]:
        return self._answer(
            "report", lambda: assignment_message(self._planner.report(read_relay_report(message, self._cell)))
        )

    def certify_host(self, _context: object, **message: Any) -> dict[str, Any]:
        def certify() -> dict[str, Any]:
            host, signing_request = read_certify(message)
            return certificate_message(self._planner.certify(host, self._cell, signing_request))

        return self._answer("certificate", certify)

    def _answer(self, what: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if waited_s() > ANSWER_WITHIN.total_seconds():
            # The host has given up, and has asked again. Without this, the questions of an outage of the database
            # would hold up those that come after it.
            return failure_message("failed", reason="the conductor had too much to do")
        try:
            return act()
        except Malformed as fault:
            _log.warning("A %s of a host of cell %s was refused: %s", what, self._cell, fault)
            return failure_message(REFUSED, reason=f"the conductor cannot read it: {fault}")
        except RelayRefused as error:
            return failure_message(REFUSED, reason=error.reason)
        except ConductorUnreachable as error:
            return failure_message("failed", reason=error.reason)
        except PrecacheError as error:
            return failure_message("failed", reason=str(error))
        except Exception:  # noqa: BLE001  the request boundary of this process
            _log.exception("A %s of a host of cell %s failed", what, self._cell)
            return failure_message("failed", reason="unexpected error; the log of the conductor has it")
