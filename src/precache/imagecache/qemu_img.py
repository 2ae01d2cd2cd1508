"""The one way to run qemu-img: in a sandbox, under limits of processor time, address space and time by the clock.

It reads other people's files, so every command here and in `fetch/qemu_commands.py` gives it the format of each file.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from precache.core.errors import DiskUnreadable
from precache.rules.conversion import wall_time
from precache.rules.qemu_errors import reason_of
from precache.sandbox import Needs, Sandbox

_log = logging.getLogger(__name__)

_ENVIRONMENT = {
    "LANG": "C",
    "LC_ALL": "C",
    # On a machine with many processors each of qemu-img's threads would reserve 64 MiB of address space for itself.
    "MALLOC_ARENA_MAX": "4",
}
_POLL_SECONDS = 0.2
_UNKNOWN = "qemu-img failed and gave no reason"
_NO_NATIVE_AIO = re.compile(r"aio=native|native AIO|linux AIO context")


class QemuImgFailed(Exception):
    """qemu-img is missing, refused, or was ended. The caller translates it."""


class NativeAioUnavailable(QemuImgFailed):
    """This qemu-img was built without it, or the host has given out all that it has (fs.aio-max-nr)."""


@dataclass(frozen=True, slots=True)
class QemuImgLimits:
    """What one run of qemu-img may use.

    cpu_time: for looking at an image; a conversion gets more, by `rules/conversion.py`.
    address_space_bytes: for both.
    """

    cpu_time: timedelta = timedelta(seconds=30)
    address_space_bytes: int = 2 << 30


class QemuImg:
    """Runs qemu-img, one run at a time. `stop` may come from another thread."""

    def __init__(
        self,
        *,
        limits: QemuImgLimits | None = None,
        sandbox: Sandbox | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """sandbox: what each run is kept in. monotonic: a clock, in seconds."""
        self.limits = limits or QemuImgLimits()
        self._sandbox = sandbox or Sandbox()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        cpu_time: timedelta | None = None,
        connection: socket.socket | None = None,
        readable: tuple[Path, ...] = (),
        writable: tuple[Path | int, ...] = (),
        is_waiting: Callable[[], bool] = lambda: False,
    ) -> str:
        """Run qemu-img and return what it prints.

        cpu_time: None for that of the limits. connection: becomes its standard input, and is closed here.
        readable, writable: the files that it may open, by path or, as `/proc/self/fd/N`, by open descriptor.
        is_waiting: whether it may still have to wait for data; the limit by the clock begins afterwards.
        Raises QemuImgFailed, NativeAioUnavailable; OSError for a full disk.
        """
        cpu_time = cpu_time or self.limits.cpu_time
        needs = Needs(cpu_time, self.limits.address_space_bytes, connection, readable, writable)
        with self._sandbox.entered_by("qemu-img", needs) as prepare:
            process = self._start(command, prepare, [file for file in writable if isinstance(file, int)])
            if connection is not None:
                connection.close()  # from now on only the child has it, so that the server notices its end
            try:
                output, errors, is_overdue = self._wait(process, wall_time(cpu_time).total_seconds(), is_waiting)
            finally:
                self._end(process)
        if process.returncode:
            raise _failure(process.returncode, errors, cpu_time, is_overdue)
        return output

    def stop(self) -> None:
        """End the current run, if any, and refuse further ones."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _start(
        self, command: Sequence[str], prepare: Callable[[], object], descriptors: Sequence[int]
    ) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise QemuImgFailed("qemu-img was stopped")
            _log.debug("Running qemu-img %s", " ".join(command))
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    ["qemu-img", *command],  # noqa: S607
                    env=os.environ | _ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    pass_fds=descriptors,
                    preexec_fn=prepare,
                )
            except FileNotFoundError as error:
                raise QemuImgFailed("qemu-img is not installed on this host") from error
            except (OSError, subprocess.SubprocessError) as error:
                raise QemuImgFailed(f"qemu-img cannot be started: {error}") from error
            return self._process

    def _wait(
        self, process: subprocess.Popen[str], wall_seconds: float, is_waiting: Callable[[], bool]
    ) -> tuple[str, str, bool]:
        began, is_overdue = self._monotonic(), False
        while True:
            try:
                return *process.communicate(timeout=_POLL_SECONDS), is_overdue
            except subprocess.TimeoutExpired:
                now = self._monotonic()
                if is_waiting():
                    began = now
                elif now - began > wall_seconds:
                    is_overdue = True
                    process.kill()

    def _end(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._process = None
        if process.poll() is None:
            process.kill()
            process.wait()


def _failure(exit_code: int, errors: str, cpu_time: timedelta, is_overdue: bool) -> Exception:
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        if os.strerror(code) in errors:
            return OSError(code, os.strerror(code))
    if _NO_NATIVE_AIO.search(errors):
        return NativeAioUnavailable(reason_of(errors) or "")
    if is_overdue:
        return QemuImgFailed(
            f"qemu-img had not finished after {wall_time(cpu_time).total_seconds():.0f} s, and was ended"
        )
    return QemuImgFailed(_end_of(exit_code, int(cpu_time.total_seconds())) or reason_of(errors) or _UNKNOWN)


def _end_of(exit_code: int, cpu_seconds: int) -> str | None:
    """Return why qemu-img did not end by itself; None if it did."""
    if exit_code == -signal.SIGXCPU:
        return f"qemu-img was ended because it used more than {cpu_seconds} s of processor time"
    if exit_code == -signal.SIGKILL:
        return "qemu-img was killed from outside, most likely because the host had no memory left; see the kernel's log"
    if exit_code < 0:
        return f"qemu-img was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return None


def read_info(path: Path, disk_format: str) -> dict[str, Any]:
    """Return what qemu-img knows of a disk of this format. Raises DiskUnreadable.

    disk_format: never left to qemu-img, which opens every file that the content of a guessed format names.
    """
    try:
        found = json.loads(
            QemuImg().run(["info", "-U", "-f", disk_format, "--output=json", str(path)], readable=(path,))
        )
    except (QemuImgFailed, OSError, ValueError) as error:
        raise DiskUnreadable(str(path), str(error)) from error
    if not isinstance(found, dict):
        raise DiskUnreadable(str(path), "qemu-img says nothing about it")
    return found
