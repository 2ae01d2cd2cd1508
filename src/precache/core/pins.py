"""Pins: promises that an entry stays in a cache, also if no instance uses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

FOREVER = datetime.max.replace(tzinfo=UTC)
"""Later than the end of every pin with a time."""

MOST_PINS = 100
"""Of one entry. If there are more, those that end last are kept: the entry stays as long as with all of them."""

_OVER = "; that is over, but counts for up to an hour longer, in case the clock is wrong"


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
    return max(map(_end_of, pins), default=None)


def add_pin(pins: Iterable[Pin], new: Pin) -> tuple[Pin, ...]:
    """Return the pins with the new one, in place of an earlier one by the same."""
    kept = (*(pin for pin in pins if pin.by != new.by), new)
    return kept if len(kept) <= MOST_PINS else tuple(sorted(kept, key=_end_of)[-MOST_PINS:])


def merge_pins(first: Iterable[Pin], second: Iterable[Pin]) -> tuple[Pin, ...]:
    """Return the pins of both; of two by the same, that which ends later."""
    merged: dict[str, Pin] = {}
    for pin in (*first, *second):
        known = merged.get(pin.by)
        merged[pin.by] = pin if known is None else max(known, pin, key=_end_of)
    return tuple(merged.values())


def pins_text(pins: Iterable[Pin], now: datetime | None = None) -> str:
    """Return who pinned an entry and until when, such as `by job:8d until 2026-12-11 20:00:00+00:00 and 2 others`.

    now: to add why the pins still keep the entry if all of them are over.
    """
    last, *others = sorted(pins, key=_end_of, reverse=True)
    end = "until it is unpinned" if last.until is None else f"until {last.until.isoformat(' ', 'seconds')}"
    more = f" and {len(others)} other{'s' * (len(others) > 1)}" if others else ""
    over = _OVER if now is not None and not last.counts(now) else ""
    return f"by {last.by or 'a job of an earlier release'} {end}{more}{over}"


def _end_of(pin: Pin) -> datetime:
    return FOREVER if pin.until is None else pin.until
