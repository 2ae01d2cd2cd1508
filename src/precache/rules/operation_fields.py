"""Which fields of a request each operation takes; the other fields are those of every job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from precache.core.errors import InvalidOption
from precache.core.operations import Operation
from precache.core.orders import MOST_KEEP_FOR_S, OrderOptions, instant_text

_RATES = frozenset({"rate_limit_bytes_per_s", "job_rate_limit_bytes_per_s"})
_KEEPING = frozenset({"keep_for_s", "keep_until"})

TAKEN_FIELDS: Mapping[Operation, frozenset[str]] = {
    Operation.CACHE: _RATES | _KEEPING | {"transfer", "base"},
    Operation.VERIFY: _RATES,
    Operation.PURGE: frozenset({"even_pinned"}),
    Operation.PIN: _KEEPING,
    Operation.UNPIN: frozenset(),
}

_OF_SOME = frozenset().union(*TAKEN_FIELDS.values())


def check_fields(operation: Operation, given: Mapping[str, object]) -> None:
    """Raise InvalidOption for a field that other operations take, but not this one. None counts as left out."""
    for field in sorted(_OF_SOME - TAKEN_FIELDS[operation]):
        if given.get(field) is not None:
            others = [other.value for other in Operation if field in TAKEN_FIELDS[other]]
            takers = f"{' and '.join(others)} take{'s' if len(others) == 1 else ''} it"
            raise InvalidOption(field, given[field], f"left out with the operation {operation} ({takers})")


def check_keep_until(options: Iterable[OrderOptions], now: datetime) -> None:
    """Raise InvalidOption for an end in the past, or later than in ten years."""
    latest = now + timedelta(seconds=MOST_KEEP_FOR_S)
    for until in {each.keep_until for each in options if each.keep_until is not None}:
        if not now < until <= latest:
            raise InvalidOption(
                "keep_until", instant_text(until), "a time in the future, which is at most ten years away"
            )
