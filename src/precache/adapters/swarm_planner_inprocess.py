"""Questions of hosts to a conductor in the same process, for the embedded service."""

from __future__ import annotations

from dataclasses import replace

from precache.core.relays import Assignment, JoinRequest, RelayReport
from precache.core.swarm_certificates import HostCertificate
from precache.ports.swarm_planner import SwarmPlanner


class InProcessPlanner:
    """The port `SwarmPlanner` by direct calls, for the hosts of one cell; it adds the cell, as a bus does.

    planner: of the conductor.
    """

    def __init__(self, *, planner: SwarmPlanner, cell: str) -> None:
        self._planner, self._cell = planner, cell

    def join(self, request: JoinRequest) -> Assignment:
        return self._planner.join(replace(request, cell=self._cell))

    def report(self, report: RelayReport) -> Assignment:
        return self._planner.report(replace(report, cell=self._cell))

    def certify(self, host: str, cell: str, signing_request: str) -> HostCertificate:  # noqa: ARG002  it is known here
        return self._planner.certify(host, self._cell, signing_request)
