"""Reads of the lowest priority: a disk whose scheduler knows priorities serves guests first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from precache.background.thread_priority import IDLE_IO, io_priority, set_io_priority


@contextmanager
def idle_io() -> Iterator[None]:
    """Set the lowest priority for the reads of this thread within the block, where the machine can do so."""
    before = io_priority()
    if before is None or not set_io_priority(IDLE_IO):
        yield
        return
    try:
        yield
    finally:
        set_io_priority(before)
