"""The priority of reads: only of this thread, and only within the block."""

from __future__ import annotations

import ctypes
import platform
import threading

import pytest

from precache.imagecache.verification.idle_io import idle_io

_libc = ctypes.CDLL(None, use_errno=True)
_GET = {"x86_64": 252, "aarch64": 31}.get(platform.machine())


def priority() -> int:
    """Return the class of this thread's reads: 3 is idle."""
    found: int = _libc.syscall(_GET, 1, 0)
    return found >> 13


@pytest.mark.skipif(_GET is None or priority() < 0, reason="this machine has no priorities of reads")
def test_reads_have_the_lowest_priority_within_the_block_and_only_in_this_thread() -> None:
    before, others, within_block = priority(), list[int](), threading.Event()
    other = threading.Thread(target=lambda: within_block.wait(20) and others.append(priority()))
    other.start()

    with idle_io():
        within = priority()
        within_block.set()
        other.join()

    assert within == 3
    assert others == [before]
    assert priority() == before
