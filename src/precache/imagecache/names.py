"""The names of files in the image cache: entries, as in Nova, and Precache's own files, which Nova's cleaner ignores.

Nova's cleaner decides by the shape of names (`rules/expiry.py`). It ignores a name with a dot after the forty
characters of an entry's name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from precache.core.cache_entries import entry_name as entry_name

KEPT = "kept"
"""In the place of the token of a staging: the names of what is kept of a paused download."""

KEPT_SIDE = "keptside"
"""The same for the side file of a paused decoding. Earlier releases remove it at their start, as of a dead process."""

SHARERS = ".precache-sharers"
"""The directory in the cache in which the hosts that share it announce themselves."""

_TEMPORARY = re.compile(r"([0-9a-f]{40})\.precache-([^-]+)-?.*", re.DOTALL)
_QUARANTINED = re.compile(r"([0-9a-f]{40})\.corrupt-(\d{8}T\d{6}Z)")
_QUARANTINE_TIME = "%Y%m%dT%H%M%SZ"
_RECORD = re.compile(r"([0-9a-f]{40})\.precache")


def temporary_name(entry: str, token: str, kind: str) -> str:
    """Return the name of a temporary file of `entry`."""
    return f"{entry}.precache-{token}-{kind}"


def parse_temporary(name: str) -> tuple[str, str] | None:
    """Return the entry that a temporary name belongs to, and the token of its staging; None for every other name."""
    match = _TEMPORARY.fullmatch(name)
    return (match[1], match[2]) if match else None


def record_name(entry: str) -> str:
    """Return the name of the record of `entry`."""
    return f"{entry}.precache"


def parse_record(name: str) -> str | None:
    """Return the entry that a record's name belongs to; None for every other name."""
    match = _RECORD.fullmatch(name)
    return match[1] if match else None


def overlays_name(entry: str) -> str:
    """Return the name of the list of disks that Precache made on `entry`."""
    return f"{entry}.overlays"


def quarantine_name(entry: str, at: datetime) -> str:
    """Return the name under which a corrupt file of `entry` is kept. at: aware."""
    return f"{entry}.corrupt-{at.astimezone(UTC).strftime(_QUARANTINE_TIME)}"


def parse_quarantined(name: str) -> tuple[str, datetime] | None:
    """Return the entry that a corrupt file had the name of, and when it was moved; None for every other name."""
    match = _QUARANTINED.fullmatch(name)
    if match is None:
        return None
    try:
        return match[1], datetime.strptime(match[2], _QUARANTINE_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
