"""Hosts and aggregates in memory, for tests and for a service without a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from precache.core.aggregates import Aggregate
from precache.core.errors import (
    AggregateHasHosts,
    AggregateHostNotFound,
    AggregateHostTaken,
    AggregateMetadataNotFound,
    AggregateNameTaken,
    AggregateNotFound,
    HostInAggregates,
    HostNotFound,
    HostStillAlive,
)
from precache.core.hosts import Heartbeat, Host
from precache.ports.clock import Clock


class MemoryInventory:
    """All ports of `ports/inventory.py`, with one lock. clock: by default this machine's.

    on_delete: called with the name of a host that was deleted.
    """

    def __init__(self, *, clock: Clock | None = None, on_delete: Callable[[str], object] = lambda _host: None) -> None:
        self._on_delete = on_delete
        self._now = clock.now if clock else lambda: datetime.now(UTC)
        self._lock = threading.Lock()
        self._aggregates: dict[int, Aggregate] = {}
        self._hosts: dict[str, Host] = {}
        self._last_id = 0

    def list_aggregates(self) -> list[Aggregate]:
        with self._lock:
            return list(self._aggregates.values())

    def get_aggregate(self, aggregate_id: int) -> Aggregate:
        with self._lock:
            return self._get(aggregate_id)

    def create_aggregate(self, name: str, metadata: Mapping[str, str], now: datetime) -> Aggregate:
        with self._lock:
            self._check_name(name, but=None)
            self._last_id += 1
            return self._put(
                Aggregate(id=self._last_id, uuid=str(uuid4()), name=name, created_at=now, metadata=dict(metadata))
            )

    def rename_aggregate(self, aggregate_id: int, name: str, now: datetime) -> Aggregate:
        with self._lock:
            aggregate = self._get(aggregate_id)
            self._check_name(name, but=aggregate_id)
            return self._put(replace(aggregate, name=name, updated_at=now))

    def set_metadata(self, aggregate_id: int, metadata: Mapping[str, str | None], now: datetime) -> Aggregate:
        with self._lock:
            aggregate = self._get(aggregate_id)
            merged = dict(aggregate.metadata)
            for key, value in sorted(metadata.items()):
                if value is not None:
                    merged[key] = value
                elif merged.pop(key, None) is None:
                    raise AggregateMetadataNotFound(aggregate_id, key)
            return self._put(replace(aggregate, metadata=merged, updated_at=now))

    def add_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        with self._lock:
            aggregate = self._get(aggregate_id)
            self._check_host(host)
            if host in aggregate.hosts:
                raise AggregateHostTaken(aggregate_id, host)
            return self._put(replace(aggregate, hosts=(*aggregate.hosts, host), updated_at=now))

    def remove_host(self, aggregate_id: int, host: str, now: datetime) -> Aggregate:
        with self._lock:
            aggregate = self._get(aggregate_id)
            self._check_host(host)
            if host not in aggregate.hosts:
                raise AggregateHostNotFound(aggregate_id, host)
            left = tuple(name for name in aggregate.hosts if name != host)
            return self._put(replace(aggregate, hosts=left, updated_at=now))

    def delete_aggregate(self, aggregate_id: int) -> None:
        with self._lock:
            if self._get(aggregate_id).hosts:
                raise AggregateHasHosts(aggregate_id)
            del self._aggregates[aggregate_id]

    def list_hosts(self, *, limit: int | None = None, marker: str | None = None) -> list[Host]:
        with self._lock:
            after = [self._seen(host) for host in self._hosts.values() if marker is None or host.name > marker]
        return sorted(after, key=lambda host: host.name)[:limit]

    def count_hosts(self, cell: str) -> int:
        with self._lock:
            return sum(host.cell == cell for host in self._hosts.values())

    def find_hosts(self, names: Sequence[str]) -> dict[str, Host]:
        with self._lock:
            return {name: self._seen(self._hosts[name]) for name in names if name in self._hosts}

    def set_forced_down(self, name: str, forced_down: bool) -> Host:
        with self._lock:
            self._check_host(name)
            host = self._hosts[name] = replace(self._hosts[name], forced_down=forced_down)
            return self._seen(host)

    def delete_host(self, name: str, silent_for: timedelta) -> None:
        with self._lock:
            self._check_host(name)
            last_seen = self._hosts[name].last_seen
            if last_seen is not None and last_seen >= self._now() - silent_for:
                raise HostStillAlive(name, last_seen)
            if aggregates := sorted(each.name for each in self._aggregates.values() if name in each.hosts):
                raise HostInAggregates(name, aggregates)
            del self._hosts[name]
            self._on_delete(name)

    def store_sites(self, sites: Mapping[str, str]) -> None:
        with self._lock:
            for name, host in self._hosts.items():
                self._hosts[name] = replace(host, aggregate_site=sites.get(name, ""))

    def store_heartbeats(self, beats: Sequence[Heartbeat]) -> None:
        with self._lock:
            for beat in beats:
                known = self._hosts.get(beat.host, Host(name=beat.host, cell=beat.cell))
                seen = min(beat.seen_at, self._now())
                self._hosts[beat.host] = replace(
                    known,
                    cell=beat.cell,
                    driver=beat.driver,
                    last_seen=seen,
                    rpc_version=beat.rpc_version,
                    release=beat.release,
                    announced_site=beat.site,
                    cache_id=beat.cache_id,
                )

    def _seen(self, host: Host) -> Host:
        return replace(host, silent_for=self._now() - host.last_seen if host.last_seen else None)

    def _get(self, aggregate_id: int) -> Aggregate:
        try:
            return self._aggregates[aggregate_id]
        except KeyError:
            raise AggregateNotFound(aggregate_id) from None

    def _put(self, aggregate: Aggregate) -> Aggregate:
        self._aggregates[aggregate.id] = aggregate
        return aggregate

    def _check_name(self, name: str, *, but: int | None) -> None:
        if any(other.name == name and other.id != but for other in self._aggregates.values()):
            raise AggregateNameTaken(name)

    def _check_host(self, name: str) -> None:
        if name not in self._hosts:
            raise HostNotFound(name)
