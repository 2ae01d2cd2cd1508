"""What a child process does between fork and exec of a tool that reads untrusted files.

It is a copy of a process with many threads, of which only one continues: a lock that another thread held is never
released. So nothing here takes a lock, logs or imports. Coverage is not measured, because that takes a lock for every
line.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence

from precache.sandbox import landlock
from precache.sandbox.seccomp import Filter

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS = 38

# What the child reports when a step failed; one byte each.
NO_LANDLOCK, NO_FILTER, NO_LIMIT = b"L", b"F", b"R"


def preparation(
    *,
    connection: socket.socket | None,
    ruleset: int | None,
    calls: Filter | None,
    limits: Sequence[tuple[int, int]],
    report: int,
) -> Callable[[], object]:
    """Return the function that the child calls before exec.

    connection: becomes its standard input. ruleset: of Landlock.
    limits: pairs of resource and limit; that of the address space comes last.
    report: a descriptor to which one byte is written for each step that failed.
    """
    number = None if connection is None else connection.fileno()

    def prepare() -> None:
        # Ctrl-C of a terminal and systemd's stop signal reach children too, but this process must end them itself: a
        # child that died before would look like a broken image.
        for told_to_end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(told_to_end, signal.SIG_IGN)
        if number is not None:
            os.dup2(number, 0)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if ruleset is not None and not landlock.restrict_self(ruleset):
            os.write(report, NO_LANDLOCK)
        if calls is not None and not calls.apply():
            os.write(report, NO_FILTER)
        # oslo.concurrency would start a Python process that sets the limits and then executes the tool. That costs 60
        # ms of processor time for each of some ten runs.
        for kind, most in limits:
            try:
                resource.setrlimit(kind, (most, _hard_limit(kind, most)))
            except (ValueError, OSError):
                os.write(report, NO_LIMIT)

    return prepare


def _hard_limit(kind: int, most: int) -> int:
    """Return the limit that the child itself cannot raise.

    For processor time it is a second more, if this process may set that. At the soft limit the kernel sends SIGXCPU,
    which shows the cause. At the hard limit it sends SIGKILL, as it does when memory runs out.
    """
    inherited = resource.getrlimit(kind)[1]
    has_room = inherited == resource.RLIM_INFINITY or inherited > most
    return most + 1 if kind == resource.RLIMIT_CPU and has_room else most
