"""The priority of one thread, for processors and disks."""

from __future__ import annotations

import os
import threading

from precache.background.thread_priority import IDLE_IO, ThreadPriority, io_priority


def priorities() -> tuple[int, int | None]:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), io_priority()


def test_only_this_thread_has_a_lower_priority() -> None:
    before, found = priorities(), list[tuple[int, int | None]]()

    def lower_and_look() -> None:
        ThreadPriority(18, "idle").lower()
        found.append(priorities())
        ThreadPriority(3, "idle").lower()
        found.append(priorities())

    thread = threading.Thread(target=lower_and_look)
    thread.start()
    thread.join(20)

    lowered = (18, None if before[1] is None else IDLE_IO)
    assert found == [lowered, lowered]
    assert priorities() == before
