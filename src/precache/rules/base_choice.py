"""Which older image in a cache is the base of a new one: the one from which the pieces that agree are taken.

A wrong choice costs nothing but the reading of the base: each piece of it is compared with the hash of the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from precache.core.images import ImageId

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What the cache knows of an image. format: of the file in the cache. family: of its versions; empty if unknown."""

    image: ImageId
    name: str = ""
    family: str = ""
    format: str = ""
    cached_at: datetime | None = None
    is_corrupt: bool = False


def bases_of(new: Lineage, cached: Iterable[Lineage], named: ImageId | None = None) -> list[Lineage]:
    """Return the images in the cache that can be the base of `new`, the best first.

    That is the image that the order names; then those of the same family, then those of the same name, and of these
    the one that was cached last. named: None if the order names none.
    A corrupt image, and one with another format, is no base.
    """
    ranked = [
        (rank, each)
        for each in cached
        if each.image != new.image and each.format == new.format and not each.is_corrupt
        for rank in [_rank(new, each, named)]
        if rank
    ]
    return [
        each for _, each in sorted(ranked, key=lambda pair: (pair[0], pair[1].cached_at or _LONG_AGO), reverse=True)
    ]


def _rank(new: Lineage, cached: Lineage, named: ImageId | None) -> int:
    if cached.image == named:
        return 3
    if new.family and cached.family == new.family:
        return 2
    return 1 if new.name and cached.name == new.name else 0
