"""How many bytes one fetch has received, and from where."""

from __future__ import annotations

from precache.core.bytes_from import BytesFrom
from precache.fetch.delta import DeltaImages


class ReceivedBytes:
    """Counts the bytes that one fetch reads. One thread adds at a time.

    delta: where some of them come from an older image.
    """

    def __init__(self) -> None:
        self.total = 0
        self.delta: DeltaImages | None = None

    def add(self, count: int) -> None:
        self.total += count

    @property
    def bytes_from(self) -> BytesFrom:
        """Return from where they came until now, also after the fetch has failed."""
        delta = self.delta
        if delta is None:
            return BytesFrom(image_service=self.total)
        return BytesFrom(image_service=self.total + delta.digests_bytes - delta.local_bytes, cache=delta.base_bytes)
