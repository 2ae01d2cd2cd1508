"""The kept numbers of images. What changes entries changes them in the same transaction, which holds `lock_caches`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select

from precache.adapters.sql.batches import batches
from precache.adapters.sql.inserts import upsert
from precache.adapters.sql.tables import cached_images, locks
from precache.core.cache_entries import CachedEntry
from precache.core.cache_inventory import NUMBER_NAMES

_LOCK = "caches"


def lock_caches(connection: Connection) -> None:
    """Wait until no other transaction changes the stored caches; the first statement of each one that does."""
    row = select(locks.c.name).where(locks.c.name == _LOCK).with_for_update()
    if connection.scalar(row) is None:
        upsert(connection, locks, [{"name": _LOCK}], key=["name"])
        connection.scalar(row)


class ImageNumbers:
    """Changes of the numbers of images, collected in one transaction."""

    def __init__(self) -> None:
        self._amounts: dict[str, list[int]] = {}
        self._images: dict[str, CachedEntry] = {}
        self._reduced: set[str] = set()

    def add(self, entry: str, sign: int, amounts: tuple[int, ...]) -> None:
        """sign: 1 to add, -1 to subtract. amounts: in the order of NUMBER_NAMES."""
        sums = self._amounts.setdefault(entry, [0] * len(NUMBER_NAMES))
        for place, amount in enumerate(amounts):
            sums[place] += sign * amount
        if sign < 0:
            self._reduced.add(entry)

    def note_image(self, entry: CachedEntry) -> None:
        """Store which image this is and its name, if that is not stored yet."""
        known = self._images.get(entry.entry)
        if known is None or (known.image is None and entry.image is not None):
            self._images[entry.entry] = entry

    def store(self, connection: Connection) -> None:
        """Write the changes, with one statement, and remove images that are on no host any more, with another."""
        rows = [self._row(entry, sums) for entry, sums in sorted(self._amounts.items())]
        upsert(connection, cached_images, rows, key=["entry"], adding=NUMBER_NAMES, filling=["image", "name"])
        for part in batches(sorted(self._reduced)):
            is_nowhere = (cached_images.c.present <= 0) & (cached_images.c.missing <= 0)
            connection.execute(delete(cached_images).where(cached_images.c.entry.in_(part), is_nowhere))

    def _row(self, entry: str, sums: list[int]) -> Mapping[str, Any]:
        known = self._images.get(entry)
        return {
            "entry": entry,
            "image": known and known.image,
            "name": (known and known.image_name) or None,
            **dict(zip(NUMBER_NAMES, sums, strict=True)),
        }
