"""What a job does with its images on its hosts."""

from __future__ import annotations

from enum import StrEnum


class Operation(StrEnum):
    """CACHE: put the image into the cache. VERIFY: compare the entry with its record. PURGE: remove the entry.

    PIN: keep the entry, also if it is unused. UNPIN: let it expire as all others.
    """

    CACHE = "cache"
    VERIFY = "verify"
    PURGE = "purge"
    PIN = "pin"
    UNPIN = "unpin"
