"""Notes the heartbeats of all cells, and leaves each host to the cell that has it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from precache.conductor.recent import Recent
from precache.core.hosts import Heartbeat, Host
from precache.ports.inventory import CellSizes, HostQueries, HostReports
from precache.rules.home_cell import beats_of_other_cells

_log = logging.getLogger(__name__)


MOST_REMEMBERED = 100_000
"""Hosts of which something is kept between two heartbeats; some 30 MB at the most."""


class NoteBeats:
    """The port `HostReports` before the store's. Called by one thread.

    hosts, sizes: as the store has them. service_down_time: how long a host that is not heard of stays its cell's.
    most_per_cell: hosts that a cell may have. What is in excess is dropped before anything of it is kept.
    most_remembered: hosts of which something is kept between two heartbeats.
    """

    def __init__(
        self,
        *,
        hosts: HostQueries,
        sizes: CellSizes,
        reports: HostReports,
        service_down_time: timedelta,
        most_per_cell: int,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self._hosts = hosts
        self._sizes = sizes
        self._reports = reports
        self._service_down_time = service_down_time
        self._most_per_cell = most_per_cell
        self._told = Recent[tuple[str, str], bool](most=most_remembered)
        self._full: set[str] = set()  # cells that were warned of
        # By host: the boot_id that was heard last, and the one before; and those that were warned of.
        self._boot_ids = Recent[str, tuple[str, str]](most=most_remembered)
        self._twins = Recent[str, frozenset[str]](most=most_remembered)

    def note_beats(self, beats: Sequence[Heartbeat]) -> None:
        known = self._hosts.find_hosts([beat.host for beat in beats])
        dropped = beats_of_other_cells(beats, known, self._service_down_time)
        for beat in dropped:
            self._tell(beat, known[beat.host].cell)
        dropped |= self._in_excess([beat for beat in beats if beat not in dropped], known)
        at_home = [beat for beat in beats if beat not in dropped]
        for beat in at_home:
            self._compare(beat)
        self._reports.note_beats(at_home)

    def _in_excess(self, beats: Sequence[Heartbeat], known: Mapping[str, Host]) -> set[Heartbeat]:
        """Return the beats of hosts that are new to their cell, and for which it has no room."""
        newcomers: dict[str, list[Heartbeat]] = {}
        for beat in beats:
            if beat.host not in known or known[beat.host].cell != beat.cell:
                newcomers.setdefault(beat.cell, []).append(beat)
        excess: set[Heartbeat] = set()
        for cell, of_cell in newcomers.items():
            room = max(0, self._most_per_cell - self._sizes.count_hosts(cell))
            excess.update(of_cell[room:])
            if len(of_cell) > room and cell not in self._full:
                self._full.add(cell)
                _log.warning(
                    "Cell %s has %i hosts, as many as [conductor] max_hosts_per_cell admits: heartbeats of others, "
                    "such as host %s, are dropped. Raise it, or find out what makes up hosts there",
                    cell, self._most_per_cell, of_cell[room].host,
                )  # fmt: skip
        return excess

    def _compare(self, beat: Heartbeat) -> None:
        """Warn of two computes with one name: one that was restarted is never heard again, one of two is."""
        last, before = self._boot_ids.find(beat.host) or ("", "")
        if not beat.boot_id or beat.boot_id == last:
            return
        self._boot_ids.store(beat.host, (beat.boot_id, last))
        twins = frozenset((beat.boot_id, last))
        if beat.boot_id == before and self._twins.find(beat.host) != twins:
            self._twins.store(beat.host, twins)
            _log.warning(
                "Two computes announce themselves as host %s in cell %s, and take its requests by turns, each for its "
                "own cache: give them different names ([DEFAULT] host)",
                beat.host, beat.cell,
            )  # fmt: skip

    def _tell(self, beat: Heartbeat, home: str | None) -> None:
        if self._told.find((beat.host, beat.cell)):
            return
        self._told.store((beat.host, beat.cell), True)
        _log.warning(
            "Host %s is heard of in cell %s, but belongs to cell %s, which hears of it, too. Give each of two hosts "
            "its own name ([DEFAULT] host); one that moved changes cells once its old one has not heard of it for %i s",
            beat.host, beat.cell, home, self._service_down_time.total_seconds(),
        )  # fmt: skip
