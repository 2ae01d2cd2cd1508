"""Pins: promises that an entry stays in a cache, also if no instance uses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

FOREVER = datetime.max.replace(tzinfo=UTC)
"""Later than the end of every pin with a time."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One promise. by: who made it, such as `job:<id>`; empty if that is not known.

    until: aware; None until it is taken back.
    """

    by: str
    until: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Return whether the entry must stay at this time."""
        return self.until is None or now < self.until


def pinned_until(pins: Iterable[Pin]) -> datetime | None:
    """Return the end of the last pin, FOREVER if one has no end; None without pins."""
    return max((FOREVER if pin.until is None else pin.until for pin in pins), default=None)


def add_pin(pins: Iterable[Pin], new: Pin) -> tuple[Pin, ...]:
    """Return the pins with the new one, in place of an earlier one by the same."""
    return (*(pin for pin in pins if pin.by != new.by), new)
