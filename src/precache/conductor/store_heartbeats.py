"""Stores the heartbeats of all cells, except those of hosts that belong to another cell."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from precache.core.hosts import Heartbeat, Host
from precache.ports.inventory import CellSizes, HostQueries, HostReports
from precache.rules.home_cell import heartbeats_of_other_cells

_log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MOST_REMEMBERED = 100_000
"""The most hosts of which data is kept between two heartbeats: about 30 MB."""


class StoreHeartbeats:
    """Checks heartbeats and passes them on to the store. Called by one thread.

    hosts, sizes: the store's ports.
    service_down_time: how long a host without heartbeats still belongs to its cell.
    most_per_cell: the most hosts of a cell. Heartbeats of further ones are dropped.
    most_remembered: the most hosts of which data is kept between two heartbeats.
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
        self._warned_of = Recent[tuple[str, str], bool](most=most_remembered)
        self._full: set[str] = set()  # cells with a warning in the log
        # By host: the last boot_id and the one before; and the pair with a warning in the log.
        self._boot_ids = Recent[str, tuple[str, str]](most=most_remembered)
        self._same_name = Recent[str, frozenset[str]](most=most_remembered)

    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        known = self._hosts.find_hosts([beat.host for beat in beats])
        dropped = heartbeats_of_other_cells(beats, known, self._service_down_time)
        for beat in dropped:
            self._warn_of_other_cell(beat, known[beat.host].cell)
        dropped |= self._in_excess([beat for beat in beats if beat not in dropped], known)
        accepted = [beat for beat in beats if beat not in dropped]
        for beat in accepted:
            self._compare(beat)
        self._reports.store_heartbeats(accepted)

    def _in_excess(self, beats: Sequence[Heartbeat], known: Mapping[str, Host]) -> set[Heartbeat]:
        """Return the heartbeats of new hosts that exceed the limit of their cell."""
        new_hosts: dict[str, list[Heartbeat]] = {}
        for beat in beats:
            if beat.host not in known or known[beat.host].cell != beat.cell:
                new_hosts.setdefault(beat.cell, []).append(beat)
        excess: set[Heartbeat] = set()
        for cell, of_cell in new_hosts.items():
            room = max(0, self._most_per_cell - self._sizes.count_hosts(cell))
            excess.update(of_cell[room:])
            if len(of_cell) > room and cell not in self._full:
                self._full.add(cell)
                _log.warning(
                    "Cell %s has %i hosts, as many as [conductor] max_hosts_per_cell allows: heartbeats of others, "
                    "such as host %s, are dropped. Raise it, or find out what sends heartbeats of so many hosts there",
                    cell, self._most_per_cell, of_cell[room].host,
                )  # fmt: skip
        return excess

    def _compare(self, beat: Heartbeat) -> None:
        """Warn of two computes with one name. The old boot_id of a restarted compute never comes again."""
        last, before = self._boot_ids.find(beat.host) or ("", "")
        if not beat.boot_id or beat.boot_id == last:
            return
        self._boot_ids.store(beat.host, (beat.boot_id, last))
        boot_ids = frozenset((beat.boot_id, last))
        if beat.boot_id == before and self._same_name.find(beat.host) != boot_ids:
            self._same_name.store(beat.host, boot_ids)
            _log.warning(
                "Two computes announce themselves as host %s in cell %s: each request reaches only one of them, and "
                "fills only its cache. Give them different names ([DEFAULT] host)",
                beat.host, beat.cell,
            )  # fmt: skip

    def _warn_of_other_cell(self, beat: Heartbeat, own_cell: str | None) -> None:
        if self._warned_of.find((beat.host, beat.cell)):
            return
        self._warned_of.store((beat.host, beat.cell), True)
        _log.warning(
            "Heartbeats of host %s arrive in cell %s, but it belongs to cell %s, where they arrive, too. Give each of "
            "two hosts its own name ([DEFAULT] host). A host that was moved belongs to its new cell %i s after its "
            "last heartbeat in the old one",
            beat.host, beat.cell, own_cell, self._service_down_time.total_seconds(),
        )  # fmt: skip


class Recent(Generic[Key, Value]):
    """A mapping of the last `most` entries that were stored or found. For one thread."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key) -> Value | None:
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def store(self, key: Key, value: Value) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
