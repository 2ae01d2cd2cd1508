"""What the cleaner of a cache remembers from pass to pass: its clocks, the ages of the files, and the disks seen.

It is one small file in the cache, which Nova's cleaner ignores, so that it outlives the process and the machine. A file
that is lost or damaged is begun again: then the clock is trusted, and all entries count as never used. It is changed
only under the lock of the cleaners.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from precache.imagecache.os_errors import explain
from precache.imagecache.publish import open_directory, open_own, publish
from precache.imagecache.staging import create_file
from precache.ports.clock import Clock
from precache.rules.file_ages import ClockReading, FileAge, ages_after, first_ages
from precache.rules.popularity import DisksSeen, count_disks

_log = logging.getLogger(__name__)

MEMORY_NAME = ".precache-cleaner"
_DRAFT_NAME = f"{MEMORY_NAME}.new"

_VERSION = 1
_MOST_BYTES = 1 << 24
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
_KEY_LENGTH = 12
_MACHINE_START = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known after a pass."""

    reading: ClockReading
    ages: Mapping[str, FileAge]
    disks_seen: Mapping[str, DisksSeen] = field(default_factory=dict)


class CleanerMemory:
    """The memory of the cleaner of one cache directory."""

    def __init__(self, *, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._unstored: Remembered | None = None
        self._reported = ""

    def recall(self, files: Mapping[str, datetime], disks: Mapping[str, Iterable[Path]]) -> Remembered:
        """Return what is known now. files: the last use of each. disks: that stand on each. Nothing is stored."""
        reading = ClockReading(self._clock.now(), self._clock.uptime(), _machine_start())
        last = self._unstored or self._read()
        if last is None:
            return Remembered(reading, first_ages(files, reading.now), count_disks({}, files, _keys(disks)))
        ages = ages_after(last.ages, files, reading.since(last.reading), reading.now)
        return Remembered(reading, ages, count_disks(last.disks_seen, files, _keys(disks)))

    def store(self, known: Remembered) -> None:
        """Store it for the next pass. A fault of the disk is logged once, and it is kept in the process only."""
        self._unstored = known
        try:
            draft = self._directory / _DRAFT_NAME
            draft.unlink(missing_ok=True)
            create_file(draft, _text_of(known))
            publish(draft, self._directory / MEMORY_NAME, known.reading.now)
            self._unstored, self._reported = None, ""
        except OSError as error:
            self._report(f"could not be stored: {explain(error)}")

    def _read(self) -> Remembered | None:
        try:
            with open_directory(self._directory) as directory:
                fd = open_own(MEMORY_NAME, directory)
            with os.fdopen(fd, "rb") as file:
                return _remembered(json.loads(file.read(_MOST_BYTES)))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._report(f"cannot be read: {explain(error)}")
        except _UNREADABLE as error:
            self._report(f"is damaged, and begun again: {type(error).__name__}: {error}")
        return None

    def _report(self, reason: str) -> None:
        if reason != self._reported:
            _log.warning("What the cleaner remembers, %s, %s", self._directory / MEMORY_NAME, reason)
        self._reported = reason


def _machine_start() -> str:
    """Return the kernel's text for the present start of the machine; empty where there is none."""
    try:
        return _MACHINE_START.read_text().strip()
    except OSError:
        return ""


def _keys(disks: Mapping[str, Iterable[Path]]) -> dict[str, frozenset[str]]:
    """Return a short key of each disk: there are many, and their paths are long."""
    return {
        entry: frozenset(hashlib.sha256(os.fsencode(path)).hexdigest()[:_KEY_LENGTH] for path in paths)
        for entry, paths in disks.items()
    }


def _text_of(known: Remembered) -> bytes:
    document = {
        "version": _VERSION,
        "now": known.reading.now.isoformat(),
        "uptime_s": known.reading.uptime.total_seconds(),
        "machine_start": known.reading.machine_start,
        "ages": {name: [age.last_used.isoformat(), age.unused_for.total_seconds()] for name, age in known.ages.items()},
        "disks_seen": {name: [seen.count, sorted(seen.present)] for name, seen in known.disks_seen.items()},
    }
    return json.dumps(document).encode() + b"\n"


def _remembered(fields: Mapping[str, Any]) -> Remembered:
    """Raises one of _UNREADABLE for anything that was not stored here."""
    if fields["version"] != _VERSION:
        raise ValueError(f"it has version {fields['version']!r}, and only {_VERSION} is known")
    reading = ClockReading(
        _instant(fields["now"]), timedelta(seconds=float(fields["uptime_s"])), str(fields["machine_start"])
    )
    ages = {
        str(name): FileAge(_instant(last_used), timedelta(seconds=float(unused_s)))
        for name, (last_used, unused_s) in fields["ages"].items()
    }
    seen = {
        str(name): DisksSeen(int(count), frozenset(map(str, present)))
        for name, (count, present) in fields["disks_seen"].items()
    }
    return Remembered(reading, ages, seen)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time has no time zone")
    return instant
