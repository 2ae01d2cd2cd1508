"""The free space of a file system, and what of it is not for the next image."""

from __future__ import annotations

from dataclasses import dataclass

RESERVE_OPTION = "reserve_bytes"


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """All in bytes, except promised_images.

    promised_bytes: what other fetches have still to write. promised_images: how many fetches these are.
    reserve_bytes: what no image may fill: it is left for running guests, or eviction would begin below it.
    reserve_option: which option of [image_cache] says so.
    """

    free_bytes: int
    promised_bytes: int = 0
    promised_images: int = 0
    reserve_bytes: int = 0
    reserve_option: str = RESERVE_OPTION

    def missing_bytes(self, needed_bytes: int) -> int:
        """Return how much more must be free before so much may be written; 0 if it fits. What is empty always fits."""
        if needed_bytes <= 0:
            return 0
        return max(0, needed_bytes + self.promised_bytes + self.reserve_bytes - self.free_bytes)
