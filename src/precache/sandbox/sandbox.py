"""Limits what a run of a tool may open, call and use. A limit that cannot be set is reported once."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from precache.sandbox import landlock
from precache.sandbox.child import NO_FILTER, NO_LANDLOCK, NO_LIMIT, preparation
from precache.sandbox.limits import Limit, limits_of, shortfall
from precache.sandbox.seccomp import Filter

_log = logging.getLogger(__name__)

SYSTEM = tuple(
    map(Path, ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/nix/store", "/gnu/store", "/dev/null"))
)
"""Where programs and their libraries are. Nothing in these directories is secret."""

_LIBRARIES = ("lib", "lib32", "lib64")  # a directory of Debian's multiarch is below the first

NO_CONFINEMENT = (
    "this kernel has no Landlock, so qemu-img can open any file that this user can open; images are still inspected "
    "before (Linux 5.13 or newer has it; some distributions need `landlock` in the boot option lsm=)"
)
_REPORTS = {
    NO_LANDLOCK: "Landlock's rules could not be applied: qemu-img can open any file that this user can open",
    NO_FILTER: "the filter of system calls could not be applied: qemu-img can open connections",
    NO_LIMIT: "a limit of qemu-img could not be set, so it runs without that one",
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What one run needs. connection: becomes its standard input. readable: files.

    writable: files, also readable; by path or open descriptor.
    """

    cpu_time: timedelta
    address_space_bytes: int
    connection: socket.socket | None = None
    readable: tuple[Path, ...] = ()
    writable: tuple[Path | int, ...] = ()


class Sandbox:
    """Makes the rules of each run. Safe for several threads."""

    def __init__(
        self,
        *,
        warn: Callable[[str], object] = _log.warning,
        landlock_version: int | None = None,
        limits: Callable[[timedelta, int], tuple[Limit, ...]] = limits_of,
    ) -> None:
        """warn: gets each report once. landlock_version: None to ask the kernel."""
        self._warn = warn
        self._reported: set[str] = set()
        self._guard = threading.Lock()
        self._landlock = landlock.version() if landlock_version is None else landlock_version
        self._limits = limits
        self._filter = Filter()

    @property
    def is_confining(self) -> bool:
        """Return whether the kernel prevents the tool from opening other files."""
        return self._landlock > 0

    @contextmanager
    def entered_by(self, program: str, needs: Needs) -> Iterator[Callable[[], object]]:
        """Yield the function for `subprocess`'s preexec_fn; exit the context when the run has ended.

        program: the tool, to be found in PATH.
        """
        limits = self._limits(needs.cpu_time, needs.address_space_bytes)
        for limit in limits:
            if not limit.is_met:
                self._report(shortfall(limit))
        with ExitStack() as closing:
            read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            closing.callback(os.close, read_end)
            closing.callback(os.close, write_end)
            prepare = preparation(
                connection=needs.connection,
                ruleset=self._ruleset(program, needs, closing),
                calls=self._filter if self._filter.is_known else None,
                limits=[(limit.kind, limit.most) for limit in limits],
                report=write_end,
            )
            try:
                yield prepare
            finally:
                self._read_reports(read_end)  # also after a run that failed, perhaps because a limit could not be set

    def _ruleset(self, program: str, needs: Needs, closing: ExitStack) -> int | None:
        if not self.is_confining:
            self._report(NO_CONFINEMENT)
            return None
        readable = (*SYSTEM, *_places_of(program), *needs.readable)
        try:
            ruleset = landlock.new_ruleset(readable=readable, writable=needs.writable)
        except OSError:
            self._report(_REPORTS[NO_LANDLOCK])
            return None
        closing.callback(os.close, ruleset)
        return ruleset

    def _read_reports(self, read_end: int) -> None:
        try:
            reports = os.read(read_end, 64)
        except BlockingIOError:
            return
        for byte in sorted(set(reports)):
            self._report(_REPORTS[bytes([byte])])

    def _report(self, sentence: str) -> None:
        with self._guard:
            is_new = sentence not in self._reported
            self._reported.add(sentence)
        if is_new:
            self._warn(sentence)


def _places_of(program: str) -> Iterator[Path]:
    """Return the program's file, and the libraries beside it if it is installed outside of the system's directories."""
    found = shutil.which(program)
    if found is not None:
        yield Path(found)
        prefixes = dict.fromkeys((Path(found).parent.parent, Path(found).resolve().parent.parent))
        yield from (prefix / name for prefix in prefixes for name in _LIBRARIES)
