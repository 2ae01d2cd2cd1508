"""Stores what hosts of all cells report of their caches, except for hosts that belong to another cell."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from precache.conductor.store_heartbeats import MOST_REMEMBERED, Recent
from precache.core.hosts import Host
from precache.ports.cache_inventory import CacheReports, PackedReport
from precache.ports.inventory import HostQueries
from precache.rules.home_cell import is_of_other_cell

_log = logging.getLogger(__name__)

REPORTS_AT_ONCE = 400
BYTES_AT_ONCE = 5_000_000
"""How many reports, and how many compressed bytes of them, are unpacked at once: those of 10,000 hosts of 50 images
would take half a gigabyte."""


class StoreCacheReports:
    """Unpacks reports and passes them on to the store, some at a time. Called by one thread.

    A report of a host whose first heartbeat is not stored yet is dropped: the host sends everything again.

    hosts: of the store. service_down_time: how long a host without heartbeats still belongs to its cell.
    """

    def __init__(self, *, hosts: HostQueries, reports: CacheReports, service_down_time: timedelta) -> None:
        self._hosts = hosts
        self._reports = reports
        self._service_down_time = service_down_time
        self._warned_of = Recent[tuple[str, str], bool](most=MOST_REMEMBERED)

    def store_reports(self, received: Sequence[PackedReport]) -> None:
        for part in _parts(received):
            self._store(part)

    def _store(self, received: Sequence[PackedReport]) -> None:
        known = self._hosts.find_hosts([report.host for report in received])
        reports = [
            unpacked
            for report in received
            if self._is_home(report, known) and (unpacked := report.unpack()) is not None
        ]
        if unknown := self._reports.store_reports(reports):
            _log.info("Reports of %i caches came before their hosts were known, such as %s", len(unknown), min(unknown))

    def _is_home(self, report: PackedReport, known: Mapping[str, Host]) -> bool:
        """Return whether the host belongs to the cell of the report; warn once if it belongs to another one."""
        host = known.get(report.host)
        if host is None or host.cell == report.cell:
            return True
        if is_of_other_cell(host, report.cell, self._service_down_time):
            self._warn_of_other_cell(report, host.cell)
        return False

    def _warn_of_other_cell(self, report: PackedReport, own_cell: str | None) -> None:
        if self._warned_of.find((report.host, report.cell)):
            return
        self._warned_of.store((report.host, report.cell), True)
        _log.warning(
            "Reports of host %s on its image cache arrive in cell %s, but it belongs to cell %s: they are dropped. "
            "Give each of two hosts its own name ([DEFAULT] host)",
            report.host, report.cell, own_cell,
        )  # fmt: skip


def _parts(received: Sequence[PackedReport]) -> Iterator[Sequence[PackedReport]]:
    """Return the reports in order, in parts that may be unpacked at once; a large one is a part of its own."""
    part: list[PackedReport] = []
    size_bytes = 0
    for report in received:
        if part and (len(part) == REPORTS_AT_ONCE or size_bytes + report.size_bytes > BYTES_AT_ONCE):
            yield part
            part, size_bytes = [], 0
        part.append(report)
        size_bytes += report.size_bytes
    if part:
        yield part
