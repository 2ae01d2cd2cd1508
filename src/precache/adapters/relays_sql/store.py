"""Changes of relays. A change locks the row of its relay first, then it writes rows of its members.

Most reports change nothing but numbers of the host that reports. They lock only its member's row, and only for one
statement: a chain of dozens of hosts reports without a queue. That row is written only if it still has the version of
the assignment that the rule has seen. So such a report never undoes a new assignment; a change that locks the relay may
undo the numbers of such a report, and the next one brings them again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, or_, select, update

from precache.adapters.relays_sql.rows import load_members, member_row, member_values, read_relay, relay_values
from precache.adapters.sql import Database
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import relay_members, relays
from precache.core.relays import MemberState, Relay, RelayKey
from precache.ports.relay_store import ChangedRelay, MemberProgress, RelayChange

_KEY = ("cell", "site", "image", "form")
_UNCHANGING = frozenset({"relay", "host", "position"})


class SqlRelays:
    """The port `RelayStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def change_by_key(self, key: RelayKey, attestations: int, change: RelayChange) -> ChangedRelay:
        is_this = (
            (relays.c.cell == key.cell)
            & (relays.c.site == key.site)
            & (relays.c.image == key.image)
            & (relays.c.form == key.form)
        )
        with self._database.write() as connection:
            row = self._lock(connection, is_this)
            if row is None:
                # Another transaction may be faster: then this inserts nothing.
                upsert(connection, relays, [self._new(connection, key, attestations)], key=_KEY)
                row = self._lock(connection, is_this)
            return self._changed(connection, row, change)

    def change(self, relay_id: str, change: RelayChange, *, is_quiet: bool = False) -> ChangedRelay | None:
        if is_quiet and (changed := self._change_quietly(relay_id, change)):
            return changed
        return self._change(relay_id, change)

    @repeatable
    def _change(self, relay_id: str, change: RelayChange) -> ChangedRelay | None:
        with self._database.write() as connection:
            row = self._lock(connection, relays.c.id == relay_id)
            return None if row is None else self._changed(connection, row, change)

    @idempotent
    def _change_quietly(self, relay_id: str, change: RelayChange) -> ChangedRelay | None:
        """Write what changes in the member that reports; return None if anything else would change."""
        with self._database.write(is_forgettable=True) as connection:
            row = self._look(connection, relays.c.id == relay_id)
            if row is None:
                return None
            before = read_relay(row, load_members(connection, row.number))
            after = change(before, row.now)
            changed = _differences(before, after)
            if not changed:
                return ChangedRelay(before, after, row.now)
            if len(changed) > 1 or not _is_quiet(before, after, changed[0]):
                return None
            member = after.members[changed[0]]
            is_unchanged = (
                (relay_members.c.relay == row.number)
                & (relay_members.c.host == member.host)
                & (relay_members.c.version == member.version)
            )
            written = update(relay_members).where(is_unchanged).values(member_values(member))
            return ChangedRelay(before, after, row.now) if connection.execute(written).rowcount else None

    @idempotent
    def note_progress(self, relay_id: str, progress: MemberProgress) -> bool:
        number = select(relays.c.number).where(relays.c.id == relay_id).scalar_subquery()
        is_this = (
            (relay_members.c.relay == number)
            & (relay_members.c.host == progress.host)
            & (relay_members.c.version == progress.version)
            & (relay_members.c.state == progress.state)
        )
        values = {
            "have_bytes": progress.have_bytes,
            "offered_bytes": progress.offered_bytes,
            "seen_at": self._database.now(),
            **({"rate_bytes_per_s": progress.rate_bytes_per_s} if progress.rate_bytes_per_s else {}),
        }
        with self._database.write(is_forgettable=True) as connection:
            return bool(connection.execute(update(relay_members).where(is_this).values(values)).rowcount)

    @repeatable
    def find(self, relay_id: str) -> Relay | None:
        with self._database.read() as connection:
            row = self._look(connection, relays.c.id == relay_id)
            return None if row is None else read_relay(row, load_members(connection, row.number))

    @repeatable
    def silent_relays(self, for_at_least: timedelta, limit: int, after: str = "") -> Sequence[str]:
        since = self._database.now(-for_at_least)
        silent = (
            select(relays.c.id)
            .join_from(relay_members, relays, relays.c.number == relay_members.c.relay)
            .where(relay_members.c.state == MemberState.ACTIVE, relay_members.c.seen_at <= since, relays.c.id > after)
            .distinct()
            .order_by(relays.c.id)
            .limit(limit)
        )
        with self._database.read(is_one_statement=True) as connection:
            return list(connection.scalars(silent))

    @repeatable
    def count_active_members(self) -> int:
        count = select(func.count()).select_from(relay_members).where(relay_members.c.state == MemberState.ACTIVE)
        with self._database.read(is_one_statement=True) as connection:
            return int(connection.scalar(count) or 0)

    @idempotent
    def forget(self, silent_for: timedelta, failed_for: timedelta, limit: int) -> int:
        last = select(func.max(relay_members.c.seen_at)).where(relay_members.c.relay == relays.c.number)
        last_sign = func.coalesce(last.scalar_subquery(), relays.c.created_at)
        is_old = or_(
            last_sign <= self._database.now(-silent_for),
            and_(relays.c.is_failed, last_sign <= self._database.now(-failed_for)),
        )
        found = select(relays.c.number).where(is_old).limit(limit)
        count = 0
        with self._database.read(is_one_statement=True) as connection:
            numbers = list(connection.scalars(found))
        for number in numbers:
            with self._database.write(is_forgettable=True) as connection:
                # Looked at again under its lock: a host may have joined meanwhile.
                if self._lock(connection, (relays.c.number == number) & is_old) is not None:
                    connection.execute(delete(relay_members).where(relay_members.c.relay == number))
                    connection.execute(delete(relays).where(relays.c.number == number))
                    count += 1
        return count

    def _new(self, connection: Connection, key: RelayKey, attestations: int) -> dict[str, Any]:
        relay = Relay(id=uuid.uuid4().hex, key=key, attestations=attestations)
        now = connection.scalar(select(self._database.now()))
        place = {"cell": key.cell, "site": key.site, "image": key.image, "form": key.form}
        return {"id": relay.id, "created_at": now, **place, **relay_values(relay)}

    def _look(self, connection: Connection, condition: Any) -> Row[Any] | None:
        return connection.execute(select(relays, self._database.now().label("now")).where(condition)).first()

    def _lock(self, connection: Connection, condition: Any) -> Any:
        found = select(relays, self._database.now().label("now")).where(condition)
        return connection.execute(found.with_for_update()).first()

    def _changed(self, connection: Connection, row: Any, change: RelayChange) -> ChangedRelay:
        """Apply the rule to a relay whose row this transaction has locked."""
        before = read_relay(row, load_members(connection, row.number))
        after = change(before, row.now)
        _store(connection, row.number, before, after)
        return ChangedRelay(before, after, row.now)


def _differences(before: Relay, after: Relay) -> list[int]:
    """Return the positions of the members that are new or changed."""
    known = before.members
    return [
        position
        for position, member in enumerate(after.members)
        if position >= len(known) or (known[position] is not member and known[position] != member)
    ]


def _is_quiet(before: Relay, after: Relay, position: int) -> bool:
    """Return whether only numbers of this member have changed: not the relay, no assignment and no state."""
    if len(before.members) != len(after.members) or relay_values(before) != relay_values(after):
        return False
    old, new = before.members[position], after.members[position]
    return (old.host, old.state, old.version) == (new.host, new.state, new.version)


def _store(connection: Connection, number: int, before: Relay, after: Relay) -> None:
    rows = [member_row(number, position, after.members[position]) for position in _differences(before, after)]
    changing = [name for name in rows[0] if name not in _UNCHANGING] if rows else []
    upsert(connection, relay_members, rows, key=("relay", "host"), changing=changing)
    if gone := {member.host for member in before.members} - {member.host for member in after.members}:
        is_gone = (relay_members.c.relay == number) & relay_members.c.host.in_(gone)
        connection.execute(delete(relay_members).where(is_gone))
    if (values := relay_values(after)) != relay_values(before):
        connection.execute(update(relays).where(relays.c.number == number).values(values))
