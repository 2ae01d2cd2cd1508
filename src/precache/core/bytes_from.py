"""From where the bytes of an entry came to a host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesFrom:
    """Numbers of bytes, as far as they were received or copied; zeros that were not sent do not count.

    image_service: as the image service sent them, damaged and repeated ones too. hosts: from other hosts of the site.
    cache: from an older image in the host's own cache.
    """

    image_service: int = 0
    hosts: int = 0
    cache: int = 0

    def __add__(self, other: BytesFrom) -> BytesFrom:
        return BytesFrom(
            image_service=self.image_service + other.image_service,
            hosts=self.hosts + other.hosts,
            cache=self.cache + other.cache,
        )

    def document(self) -> dict[str, int]:
        """Return the numbers by the names of their sources, for JSON."""
        return {"image_service": self.image_service, "hosts": self.hosts, "cache": self.cache}


NO_BYTES = BytesFrom()
