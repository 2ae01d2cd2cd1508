"""Remove what is stored of the caches of deleted hosts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, select

from precache.adapters.inventory_sql.cache_numbers import ImageNumbers, lock_caches
from precache.adapters.sql import Database
from precache.adapters.sql.tables import cache_entries, host_caches, hosts
from precache.core.cache_entries import EntryState, Verification

_HOSTS_AT_ONCE = 100


def remove_caches(connection: Connection, host_ids: Select[tuple[int]] | Sequence[int]) -> None:
    """Remove the caches of these hosts. The transaction holds `lock_caches`."""
    is_meant = cache_entries.c.host_id.in_(host_ids)
    sums = [func.sum(amount) for amount in _AMOUNTS]
    numbers = ImageNumbers()
    statement = select(cache_entries.c.entry, *sums).where(is_meant).group_by(cache_entries.c.entry)
    for entry, *amounts in connection.execute(statement):
        numbers.add(entry, -1, tuple(map(int, amounts)))
    connection.execute(delete(cache_entries).where(is_meant))
    connection.execute(delete(host_caches).where(host_caches.c.host_id.in_(host_ids)))
    numbers.store(connection)


def forget_deleted_hosts(database: Database) -> None:
    """Remove some caches of hosts that a process of the previous release has deleted: it does not know of caches."""
    known = host_caches.outerjoin(hosts, hosts.c.id == host_caches.c.host_id)
    gone = select(host_caches.c.host_id).select_from(known).where(hosts.c.id.is_(None)).limit(_HOSTS_AT_ONCE)
    with database.read(is_one_statement=True) as connection:
        found = connection.scalars(gone).all()
    if found:
        with database.write() as connection:
            lock_caches(connection)
            remove_caches(connection, connection.scalars(gone).all())


def _is(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((_IS_PRESENT & condition, 1), else_=0)


_IS_PRESENT = cache_entries.c.state == EntryState.PRESENT
_VERIFICATION = cache_entries.c.verification

_AMOUNTS = (
    case((_IS_PRESENT, 1), else_=0),
    case((_IS_PRESENT, 0), else_=1),
    case((_IS_PRESENT, cache_entries.c.allocated_bytes), else_=0),
    case((cache_entries.c.is_pinned, 1), else_=0),
    _is(cache_entries.c.disks == 0),
    _is(_VERIFICATION == Verification.INTACT),
    _is(_VERIFICATION == Verification.CORRUPT),
    _is(_VERIFICATION == Verification.UNVERIFIABLE),
)
"""What each entry adds to the numbers of its image, in the order of NUMBER_NAMES."""
