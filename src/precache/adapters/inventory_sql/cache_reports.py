"""Store what hosts report of their caches.

Transactions that change the stored caches come one after another, because all of them lock the same row first: each one
changes the numbers of the images that many hosts have. They are short: some thousands of entries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, or_, select

from precache.adapters.inventory_sql.cache_entry_writes import write_entries
from precache.adapters.inventory_sql.cache_numbers import ImageNumbers, lock_caches
from precache.adapters.inventory_sql.cache_removal import forget_deleted_hosts
from precache.adapters.inventory_sql.cache_rows import MARKS, cache_document, entry_row
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import cache_entries, host_caches, hosts
from precache.core.cache_entries import CacheReport
from precache.core.cache_inventory import NUMBER_NAMES, numbers_of, numbers_of_entry
from precache.rules.report_order import CacheUpdate, StoredReport, next_update

HOSTS_AT_ONCE = 400
ENTRIES_AT_ONCE = 20_000
"""The most hosts and entries of one transaction, which then takes about two seconds if all entries are new. One host
may have more entries."""

NAMES_AT_ONCE = 10_000
"""The most names of entries in one statement. PostgreSQL takes 65,535 values, old SQLite half as many."""

_CHANGING_OF_HOST = [column.name for column in host_caches.c if not column.primary_key]

_STORED = select(
    cache_entries.c.host_id,
    cache_entries.c.entry,
    cache_entries.c.mark,
    cache_entries.c.state,
    cache_entries.c.verification,
    cache_entries.c.is_pinned,
    cache_entries.c.disks,
    cache_entries.c.allocated_bytes,
)


class SqlCacheReports:
    """The port `CacheReports`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def store_reports(self, reports: Sequence[CacheReport]) -> frozenset[str]:
        by_host: defaultdict[str, list[CacheReport]] = defaultdict(list)
        for report in reports:
            by_host[report.host].append(report)
        if by_host:
            self._forget_deleted_hosts()
        unknown: set[str] = set()
        for part in _parts(by_host):
            unknown |= self._store(part)
        return frozenset(unknown)

    @idempotent
    def _forget_deleted_hosts(self) -> None:
        forget_deleted_hosts(self._database)

    @idempotent
    def _store(self, reports: Mapping[str, Sequence[CacheReport]]) -> set[str]:
        """Store the reports of these hosts in one transaction; return the hosts that are not known."""
        with self._database.write(is_forgettable=True) as connection:
            lock_caches(connection)
            found = connection.execute(self._known(list(reports))).all()
            pairs = [(host, next_update(_stored_report(host), reports[host.name])) for host in found]
            changes = [_HostChange(host, update) for host, update in pairs if update is not None]
            if changes:
                _store_changes(connection, changes, found[0].now)
        return reports.keys() - {host.name for host in found}

    def _known(self, names: Sequence[str]) -> Any:
        columns = [column for column in host_caches.c if column.name not in ("document", "reported_at")]
        now = self._database.now().label("now")
        # In the order of the ids, so that entries are written in the order of their key.
        return (
            select(hosts.c.id, hosts.c.name, now, *columns)
            .join_from(hosts, host_caches, host_caches.c.host_id == hosts.c.id, isouter=True)
            .where(hosts.c.name.in_(names))
            .order_by(hosts.c.id)
        )


def _parts(by_host: Mapping[str, Sequence[CacheReport]]) -> Iterator[dict[str, Sequence[CacheReport]]]:
    """Return the hosts in parts for one transaction each."""
    part: dict[str, Sequence[CacheReport]] = {}
    size = 0
    for host, reports in by_host.items():
        entries = sum(len(report.entries) + len(report.gone) for report in reports)
        if part and (len(part) == HOSTS_AT_ONCE or size + entries > ENTRIES_AT_ONCE):
            yield part
            part, size = {}, 0
        part[host] = reports
        size += entries
    if part:
        yield part


def _stored_report(host: Row[Any]) -> StoredReport | None:
    if host.boot_id is None:
        return None
    return StoredReport(host.boot_id, host.sequence, host.base, host.earlier_boot_id, host.earlier_sequence)


class _HostChange:
    """What is to be written of one host. numbers, content: as they are stored, then as they will be."""

    def __init__(self, host: Row[Any], update: CacheUpdate) -> None:
        self.host_id: int = host.id
        self.update = update
        self.rows = {name: entry_row(host.id, entry) for name, entry in update.entries.items()}
        self._content: int = host.content or 0
        self._numbers = [getattr(host, name) or 0 for name in NUMBER_NAMES]

    @property
    def may_differ(self) -> bool:
        """Return whether entries may differ from the stored ones: then the stored rows must be read."""
        if not self.update.is_full:
            return bool(self.rows or self.update.gone)
        content: int = sum(row["mark"] for row in self.rows.values()) % MARKS
        return self._content != content

    @property
    def names(self) -> Sequence[str] | None:
        """Return the names of the entries that may differ; None for all that are stored."""
        return None if self.update.is_full else [*self.rows, *self.update.gone]

    def compare(self, stored: Mapping[str, Row[Any]], numbers: ImageNumbers) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the rows to write and the entries to remove, and add the difference to the numbers.

        stored: the rows with these `names`, by entry.
        """
        changed = [row for name, row in self.rows.items() if name not in stored or stored[name].mark != row["mark"]]
        removed = [name for name in stored if name not in self.rows]
        for name in (*(row["entry"] for row in changed), *removed):
            if (old := stored.get(name)) is not None:
                before = numbers_of(old.state, old.verification, old.is_pinned, old.disks, old.allocated_bytes)
                self._add(numbers, name, -1, before, -old.mark)
        for row in changed:
            entry = self.update.entries[row["entry"]]
            self._add(numbers, entry.entry, 1, numbers_of_entry(entry), row["mark"])
            numbers.note_image(entry)
        return changed, removed

    def _add(self, numbers: ImageNumbers, entry: str, sign: int, amounts: tuple[int, ...], mark: int) -> None:
        numbers.add(entry, sign, amounts)
        self._content = (self._content + mark) % MARKS
        for place, amount in enumerate(amounts):
            self._numbers[place] += sign * amount

    def row(self, now: datetime) -> dict[str, Any]:
        stored = self.update.stored
        return {
            "host_id": self.host_id,
            "boot_id": stored.boot_id,
            "sequence": stored.sequence,
            "base": stored.base,
            "earlier_boot_id": stored.earlier_boot_id,
            "earlier_sequence": stored.earlier_sequence,
            "content": self._content,
            "reported_at": now,
            "document": cache_document(self.update.last),
            **dict(zip(NUMBER_NAMES, self._numbers, strict=True)),
        }


def _store_changes(connection: Connection, changes: Sequence[_HostChange], now: datetime) -> None:
    differing = [change for change in changes if change.may_differ]
    stored = _load(connection, {change.host_id: change.names for change in differing})
    numbers = ImageNumbers()
    written: list[dict[str, Any]] = []
    removed: dict[int, Sequence[str]] = {}
    for change in differing:
        changed, removed[change.host_id] = change.compare(stored[change.host_id], numbers)
        written += changed
    for condition in _conditions(removed):
        connection.execute(delete(cache_entries).where(condition))
    write_entries(connection, written)
    numbers.store(connection)
    rows = [change.row(now) for change in changes]
    upsert(connection, host_caches, rows, key=["host_id"], changing=_CHANGING_OF_HOST)


def _load(connection: Connection, names: Mapping[int, Sequence[str] | None]) -> Mapping[int, dict[str, Any]]:
    """Return the stored rows with these names, None for all, by host and entry."""
    found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for condition in _conditions(names):
        for row in connection.execute(_STORED.where(condition)):
            found[row.host_id][row.entry] = row
    return found


def _conditions(names: Mapping[int, Sequence[str] | None]) -> Iterator[ColumnElement[bool]]:
    """Return the conditions for these entries of each host, None for all: usually one, else as many as are needed."""
    part: list[ColumnElement[bool]] = []
    left = NAMES_AT_ONCE
    for host_id, of_host in names.items():
        is_own = cache_entries.c.host_id == host_id
        if of_host is None:
            part.append(is_own)
            continue
        for some in batches(of_host, NAMES_AT_ONCE):
            if len(some) > left:
                yield or_(*part)
                part, left = [], NAMES_AT_ONCE
            part.append(and_(is_own, cache_entries.c.entry.in_(some)))
            left -= len(some)
    if part:
        yield or_(*part)
