"""Which process does what one process does for all: a lease for each duty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, select, update

from precache.adapters.sql import Database
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import idempotent
from precache.adapters.sql.tables import duties

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class SqlDuties:
    """The port `Duties`. The lease is by the clock of the database."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @idempotent
    def hold(self, duty: str, owner: str, lease: timedelta) -> bool:
        now = self._database.now()
        found = select(duties.c.owner, (duties.c.until > now).label("is_held")).where(duties.c.name == duty)
        with self._database.read(is_one_statement=True) as connection:
            row = connection.execute(found).first()
        if row is not None and row.is_held and row.owner != owner:
            return False
        is_free = or_(duties.c.owner == owner, duties.c.until <= now)
        held = {"owner": owner, "until": self._database.now(lease)}
        with self._database.write() as connection:
            if row is None:
                # Of several processes that find no row, the first one gets the duty.
                upsert(connection, duties, [{"name": duty, "owner": "", "until": _LONG_AGO}], key=["name"])
            return bool(connection.execute(update(duties).where(duties.c.name == duty, is_free).values(held)).rowcount)
