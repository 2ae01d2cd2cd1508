"""How often the entries of a cache were used: how many disks have stood on each since it is in the cache."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DisksSeen:
    """count: of all disks that were seen on the entry. present: the keys of those that stood on it at the last pass."""

    count: int = 0
    present: frozenset[str] = field(default_factory=frozenset)


def count_disks(
    seen: Mapping[str, DisksSeen], entries: Collection[str], disks: Mapping[str, Collection[str]]
) -> dict[str, DisksSeen]:
    """Return the counts after a pass, of the entries that are still in the cache and had a disk.

    disks: of each entry in use, by keys that stay the same from pass to pass. A disk that was there at the last pass
    is not counted again; one that is seen only between two passes is not counted.
    """
    counted: dict[str, DisksSeen] = {}
    for entry in entries:
        earlier, now = seen.get(entry, DisksSeen()), frozenset(disks.get(entry, ()))
        count = earlier.count + len(now - earlier.present)
        if count:
            counted[entry] = DisksSeen(count, now)
    return counted
