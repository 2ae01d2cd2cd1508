"""Splits long lists into parts that fit into one statement."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

VALUES_PER_STATEMENT = 900
"""Below the 999 bound values that old SQLite allows in one statement; the others allow far more."""


def batches(values: Sequence[T], size: int = VALUES_PER_STATEMENT) -> Iterator[Sequence[T]]:
    """Return `values` in order, in slices of at most `size`; no slice for an empty sequence."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
