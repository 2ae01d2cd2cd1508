"""What a child of ours does between its fork and the moment when it becomes a tool that works on other people's files.

It is a copy of a process with many threads, of which only one lives on: whoever takes a lock here may wait for ever.
So nothing does, and nothing is logged or imported; and no coverage is measured, which takes one for every line.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable


def preparation(connection: socket.socket | None, cpu_seconds: int, address_space_bytes: int) -> Callable[[], object]:
    """Give what the child does just before it becomes qemu-img."""
    number = None if connection is None else connection.fileno()
    # oslo.concurrency's own way, a Python that sets the limits and then becomes the tool, costs 60 ms of processor
    # time for each of some ten runs. The address space comes last: nothing may need memory after it.
    limits = (
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds)),
        (resource.RLIMIT_AS, (address_space_bytes, address_space_bytes)),
    )

    def prepare() -> None:
        # A terminal's Ctrl-C and systemd's stop reach our children too, but whether to end them is for us to say: one
        # that died before we knew why would pass for a broken image.
        for told_to_end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(told_to_end, signal.SIG_IGN)
        if number is not None:
            os.dup2(number, 0)
        for kind, limit in limits:
            resource.setrlimit(kind, limit)

    return prepare
