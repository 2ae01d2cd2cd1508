"""The remembered rates of hosts, which outlive the relays that have shown them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import delete, select

from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.repeating import idempotent, repeatable
from precache.adapters.sql.tables import host_rates
from precache.core.host_rates import HostRates

_CHANGING = ("uplink_bytes_per_s", "link_bytes_per_s", "measured_at")


class SqlHostRates:
    """The port `HostRatesStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def find_rates(self, hosts: Sequence[str]) -> Mapping[str, HostRates]:
        found: dict[str, HostRates] = {}
        with self._database.read() as connection:
            for names in batches(hosts):
                rows = connection.execute(select(host_rates).where(host_rates.c.host.in_(names)))
                found |= {row.host: HostRates(row.uplink_bytes_per_s, row.link_bytes_per_s) for row in rows}
        return found

    @idempotent
    def store_rates(self, host: str, rates: HostRates) -> None:
        with self._database.write(is_forgettable=True) as connection:
            row = {
                "host": host,
                "uplink_bytes_per_s": rates.uplink_bytes_per_s,
                "link_bytes_per_s": rates.link_bytes_per_s,
                "measured_at": connection.scalar(select(self._database.now())),
            }
            upsert(connection, host_rates, [row], key=["host"], changing=_CHANGING)

    @idempotent
    def forget_rates(self, unmeasured_for: timedelta) -> None:
        is_old = host_rates.c.measured_at <= self._database.now(-unmeasured_for)
        with self._database.write(is_forgettable=True) as connection:
            connection.execute(delete(host_rates).where(is_old))
