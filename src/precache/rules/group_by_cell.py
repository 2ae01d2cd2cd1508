"""Groups the hosts of a job by cell, and separates those that cannot be called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from precache.core.errors import ComputeOutdated
from precache.core.hosts import Host
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.rules.rpc_versions import understands


@dataclass(frozen=True, slots=True)
class RpcRequirement:
    """The version of the RPC interface that a compute must speak.

    needed: for a request without options. for_options: for one with options. for_operations: for another operation
        than to cache images.
    for_later_options, for_end_times: for the orders with `as_is` or `keep_for_s`, and for those with `keep_until`; a
        host that does not speak it gets the other orders.
    pin: the newest version that may be used, if an operator has limited it.
    """

    needed: str
    pin: str | None = None
    for_options: str = ""
    for_later_options: str = ""
    for_end_times: str = ""
    for_operations: str = ""

    def with_options(self) -> RpcRequirement:
        """Return the requirement of a job that has options."""
        return replace(self, needed=self.for_options)

    def of_job(self, operation: Operation) -> RpcRequirement:
        """Return the requirement of a job with this operation."""
        return self if operation is Operation.CACHE else replace(self, needed=self.for_operations)

    def of_order(self, order: ImageOrder) -> RpcRequirement:
        """Return the requirement of an order of a job that has this requirement."""
        if self.needed == self.for_operations or not order.has_later_options:
            return self
        return replace(self, needed=self.for_end_times if order.has_end_time else self.for_later_options)

    def excludes(self, host: Host) -> bool:
        """Return whether the host does not understand the request, or may not be sent it because of the pin."""
        return self.is_pinned_below or not self.is_met_by(host)

    def error_of(self, host: Host) -> ComputeOutdated:
        """Return the error of a host that is excluded."""
        pin = self.pin if self.is_pinned_below else None
        return ComputeOutdated(host.name, self.needed, pin or host.rpc_version, pinned=pin is not None)

    @property
    def is_pinned_below(self) -> bool:
        """Return whether the pinned version is lower than the one that is needed."""
        return self.pin is not None and not understands(self.pin, self.needed)

    def is_met_by(self, host: Host) -> bool:
        """Return whether the request may be sent to the host. A host without a version is not called over a bus."""
        return not host.rpc_version or understands(host.rpc_version, self.needed)


@dataclass(frozen=True, slots=True)
class HostGroups:
    """The hosts of a job, each in exactly one field.

    by_cell: hosts to call, by cell name; within a cell in the order of the request.
    down: hosts that are known but not up.
    outdated: hosts that are up, but do not understand the request, or may not be sent it because of the pin.
    unmapped: hosts that are not in the inventory, or that belong to no cell.
    """

    by_cell: Mapping[str, tuple[Host, ...]] = field(default_factory=dict)
    down: tuple[Host, ...] = ()
    outdated: tuple[Host, ...] = ()
    unmapped: tuple[str, ...] = ()


def hosts_of_unknown_state(
    down: Iterable[Host], listening_for_s: Callable[[str], float], service_down_time: timedelta
) -> tuple[Host, ...]:
    """Return the down hosts whose state is unknown, because their cell was not listened to for long enough.

    listening_for_s: for how many seconds, until now, heartbeats from this cell would have been received.
    """
    return tuple(
        host
        for host in down
        if not host.forced_down
        and not host.owner_says_down
        and listening_for_s(host.cell or "") < service_down_time.total_seconds()
    )


def group_by_cell(
    names: Iterable[str],
    known: Mapping[str, Host],
    service_down_time: timedelta,
    requirement: RpcRequirement | None = None,
) -> HostGroups:
    """Group the hosts of `names` (duplicates once) by their records in `known`.

    requirement: None without a bus; then no host can be outdated.
    """
    by_cell: dict[str, list[Host]] = {}
    down: list[Host] = []
    outdated: list[Host] = []
    unmapped: list[str] = []
    for name in dict.fromkeys(names):
        host = known.get(name)
        if host is None or host.cell is None:
            unmapped.append(name)
        elif not host.is_up(service_down_time):
            down.append(host)
        elif requirement is not None and requirement.excludes(host):
            outdated.append(host)
        else:
            by_cell.setdefault(host.cell, []).append(host)
    asked = {cell: tuple(hosts) for cell, hosts in by_cell.items()}
    return HostGroups(asked, tuple(down), tuple(outdated), tuple(unmapped))
