"""Notes the heartbeats of all cells, and leaves each host to the cell that has it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from precache.core.hosts import HostBeat
from precache.ports.inventory import HostQueries, HostReports
from precache.rules.home_cell import strangers

_log = logging.getLogger(__name__)


class NoteBeats:
    """The port `HostReports` before the store's. Called by one thread.

    hosts: as the store has them. service_down_time: how long a host that is not heard of stays its cell's.
    """

    def __init__(self, *, hosts: HostQueries, reports: HostReports, service_down_time: timedelta) -> None:
        self._hosts = hosts
        self._reports = reports
        self._service_down_time = service_down_time
        self._told: set[tuple[str, str]] = set()
        self._incarnations: dict[str, tuple[str, str]] = {}  # by host: the last that was heard, and the one before
        self._twins: dict[str, frozenset[str]] = {}  # by host: the incarnations that were warned of

    def note_beats(self, beats: Sequence[HostBeat]) -> None:
        known = self._hosts.find_hosts([beat.host for beat in beats])
        dropped = strangers(beats, known, self._service_down_time)
        for beat in dropped:
            self._tell(beat, known[beat.host].cell)
        at_home = [beat for beat in beats if beat not in dropped]
        for beat in at_home:
            self._compare(beat)
        self._reports.note_beats(at_home)

    def _compare(self, beat: HostBeat) -> None:
        """Warn of two computes with one name: one that was restarted is never heard again, one of two is."""
        last, before = self._incarnations.get(beat.host, ("", ""))
        if not beat.incarnation or beat.incarnation == last:
            return
        self._incarnations[beat.host] = beat.incarnation, last
        twins = frozenset((beat.incarnation, last))
        if beat.incarnation == before and self._twins.get(beat.host) != twins:
            self._twins[beat.host] = twins
            _log.warning(
                "Two computes announce themselves as host %s in cell %s, and take its requests by turns, each for its "
                "own cache: give them different names ([DEFAULT] host)",
                beat.host, beat.cell,
            )  # fmt: skip

    def _tell(self, beat: HostBeat, home: str | None) -> None:
        if (beat.host, beat.cell) in self._told:
            return
        self._told.add((beat.host, beat.cell))
        _log.warning(
            "Host %s is heard of in cell %s, but belongs to cell %s, which hears of it, too. Give each of two hosts "
            "its own name ([DEFAULT] host); one that moved changes cells once its old one has not heard of it for %i s",
            beat.host, beat.cell, home, self._service_down_time.total_seconds(),
        )  # fmt: skip
