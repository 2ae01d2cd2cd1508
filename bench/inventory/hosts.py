"""The simulated hosts: what their caches hold, and the messages with their reports."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bench.dispatch.hosts import host_names
from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.bus_oslo.cache_report_messages import report_message
from precache.adapters.bus_oslo.topics import CONDUCTOR_TOPIC
from precache.core.cache_entries import CachedEntry, CacheReport, CacheSpace, Verification, entry_name
from precache.core.images import parse_image_id
from precache.core.pins import Pin

IMAGES_PER_ENTRY = 10
"""How many images there are for each entry of a host: some are on most hosts, most on few."""

SEED = 11
GIB = 1 << 30
NOW = datetime.now(UTC)


class SimulatedHosts:
    """So many hosts with so many entries each. The messages are made from a fixed seed."""

    def __init__(self, hosts: int, entries: int) -> None:
        chance = random.Random(SEED)
        self.names = host_names(hosts)
        self._pool = [_entry(number) for number in range(entries * IMAGES_PER_ENTRY)]
        # The first images are on most hosts: the weight of an image falls with its number.
        weights = [1 / (number + 1) for number in range(len(self._pool))]
        self._held = {name: self._draw(chance, weights, entries) for name in self.names}
        self._sequence = 0
        self._base = 0

    @property
    def images(self) -> list[str]:
        """The ids of the images that some host holds."""
        held = {entry.image for entries in self._held.values() for entry in entries}
        return sorted(str(image) for image in held)

    def full_reports(self) -> Iterator[dict[str, Any]]:
        """Return a message of each host with all its entries."""
        self._sequence += 1
        self._base = self._sequence
        for name in self.names:
            yield self._message(name, tuple(self._held[name]))

    def reports_of_changes(self) -> Iterator[dict[str, Any]]:
        """Return a message of each host with one entry that has changed."""
        self._sequence += 1
        for name in self.names:
            held = self._held[name]
            held[-1] = replace(held[-1], disks=(held[-1].disks or 0) + 1)
            yield self._message(name, (held[-1],))

    @property
    def sequence(self) -> int:
        """That of the last reports."""
        return self._sequence

    def _draw(self, chance: random.Random, weights: list[float], count: int) -> list[CachedEntry]:
        found: dict[str, CachedEntry] = {}
        while len(found) < count:
            for entry in chance.choices(self._pool, weights, k=count - len(found)):
                found[entry.entry] = entry
        return [replace(entry, disks=chance.randrange(4)) for entry in found.values()]

    def _message(self, name: str, entries: tuple[CachedEntry, ...]) -> dict[str, Any]:
        report = CacheReport(
            host=name,
            cell="",
            boot_id=f"boot-of-{name}",
            sequence=self._sequence,
            base=self._base,
            at=NOW,
            space=CacheSpace(2000 * GIB, 900 * GIB, 300 * GIB, 0, 100 * GIB),
            owner="nova",
            entries=entries,
        )
        return {"beats": [], "cache_report": report_message(report)}


def send(bus: Bus, message: dict[str, Any]) -> None:
    bus.cast(CONDUCTOR_TOPIC, "heartbeat", message)


def _entry(number: int) -> CachedEntry:
    image = parse_image_id(str(UUID(int=number + 1)))
    chance = random.Random(number)
    return CachedEntry(
        entry=entry_name(image),
        image=image,
        image_name=f"image-{number:04}",
        size_bytes=20 * GIB,
        allocated_bytes=chance.randrange(GIB, 4 * GIB),
        format="raw",
        digest=f"tree-sha256:{chance.getrandbits(256):064x}",
        source="image service",
        source_digest=f"sha512:{chance.getrandbits(512):0128x}",
        requested_by="operator",
        cached_at=NOW,
        last_used=NOW,
        verified_at=NOW if number % 2 else None,
        verification=Verification.INTACT if number % 2 else Verification.UNVERIFIED,
        pins=(Pin(f"job:{UUID(int=number)}"),) if number % 5 == 0 else (),
    )
