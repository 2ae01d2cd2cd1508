"""qemu-img: asked what an image is, told to convert it. The only place that knows its options and its words.

It works on other people's files, so it runs under limits of processor time and address space, reads through a
connection that holds nothing but this one image, and is always told the format instead of guessing it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from oslo_concurrency import processutils

from precache.core.errors import ConversionFailed
from precache.core.images import ImageId
from precache.fetch.growing_file import Abandoned
from precache.rules.conversion import conversion_cpu_time, wall_time
from precache.rules.qemu_errors import reason_of
from precache.sandbox import Needs, Sandbox

_CONNECTION = "{0}.driver=nbd,{0}.server.type=fd,{0}.server.str=0"
"""The image is a block device behind the socket that the process finds as its standard input.

{0}: the node's place in the tree of options."""

_ENVIRONMENT = {
    "LANG": "C",
    "LC_ALL": "C",
    # On a machine with many processors each of qemu-img's threads would reserve 64 MiB of address space for itself.
    "MALLOC_ARENA_MAX": "4",
}

_UNKNOWN = "qemu-img failed without a word"
_NO_NATIVE_AIO = re.compile(r"aio=native|native AIO|linux AIO context")


@dataclass(frozen=True, slots=True)
class QemuImgLimits:
    """What one run of qemu-img may use.

    cpu_time: for looking at an image; a conversion gets more, by `rules/conversion.py`.
    address_space_bytes: for both.
    """

    cpu_time: timedelta = timedelta(seconds=30)
    address_space_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What qemu-img reads in an image of a format. backing_file, data_file, vmdk_type: None if there is none."""

    format: str
    virtual_size_bytes: int
    backing_file: str | None = None
    data_file: str | None = None
    vmdk_type: str | None = None


class Output(Enum):
    """How the result is written: (qemu's cache mode, further option of the file).

    Past the page cache, as Nova does, where the file system can. The kernel's own asynchronous writes take half the
    processor time of qemu's threads, which shows with the many small writes of a compressed image: 3.0 in place of
    4.9 s for 1 GiB.
    """

    DIRECT_NATIVE = ("none", ",file.aio=native")
    DIRECT = ("none", "")
    CACHED = ("writeback", "")

    @property
    def cache(self) -> str:
        return self.value[0]

    @property
    def option(self) -> str:
        return self.value[1]


class NativeAioUnavailable(ConversionFailed):
    """This qemu-img was built without it, or the host has given out all that it has (fs.aio-max-nr)."""


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a disk, in bytes that are multiples of a sector."""

    offset: int
    size: int


class QemuImg:
    """Runs qemu-img for one image, one run at a time. `stop` may come from another thread."""

    def __init__(
        self,
        *,
        image: ImageId,
        limits: QemuImgLimits,
        sandbox: Sandbox | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """sandbox: what each run is kept in. monotonic: a clock, in seconds."""
        self._image = image
        self._limits = limits
        self._sandbox = sandbox or Sandbox()
        self._monotonic = monotonic
        self._began = 0.0
        self._wall_seconds = 0.0
        self._is_overdue = False
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def info(self, connection: socket.socket, source_format: str) -> ImageInfo:
        """Return what the image behind the connection is, which is closed.

        source_format: qemu's name for the format that it was found to have. Raises ConversionFailed if it has not.
        """
        source = f"driver={source_format},{_CONNECTION.format('file')}"
        output = self._run(["info", "--output=json", "--image-opts", source], connection, self._limits.cpu_time)
        try:
            return _parse_info(json.loads(output))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConversionFailed(self._image, "'qemu-img info' parsing failed.") from error

    def convert(self, connection: socket.socket, source_format: str, part: Part, target: Path, output: Output) -> None:
        """Write one part of the disk behind the connection, which is closed, to the same place in `target`.

        target: a raw file that has its full length already and is zero in this part; zeros are not written.
        Raises NativeAioUnavailable, ConversionFailed, OSError (ENOSPC) for a full disk, Abandoned if it was stopped.
        """
        section = f"driver=raw,offset={part.offset},size={part.size}"
        source = f"{section},file.driver={source_format},{_CONNECTION.format('file.file')}"
        sink = f"{section},file.driver=file,file.filename={_escaped(target)}{output.option}"
        # Out-of-order writes (-W): without them one slow read holds up all that have come in behind it.
        command = ["convert", "-W", "-t", output.cache, "-n", "--target-is-zero", "--image-opts", "--target-image-opts"]
        cpu_time = conversion_cpu_time(part.size, self._limits.cpu_time)
        self._run([*command, source, sink], connection, cpu_time, target)

    def kill_if_overdue(self, *, is_arriving: bool) -> None:
        """Kill the run under way once it has taken longer than it may; to be called often, by another thread.

        is_arriving: whether bytes of the image are still to come. The time of a run begins when all are there: until
        then it may be waiting for the transfer, which has limits of its own.
        """
        with self._lock:
            if self._process is None:
                return
            now = self._monotonic()
            if is_arriving:
                self._began = now
            elif now - self._began > self._wall_seconds:
                self._is_overdue = True
                self._process.kill()

    def stop(self) -> None:
        """End the run under way, if any, and refuse any other."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _run(self, command: list[str], connection: socket.socket, cpu_time: timedelta, *writable: Path) -> str:
        needs = Needs(cpu_time, self._limits.address_space_bytes, connection, writable=writable)
        self._wall_seconds, self._is_overdue = wall_time(cpu_time).total_seconds(), False
        try:
            with self._sandbox.entered_by("qemu-img", needs) as prepare:
                output, _ = processutils.execute(
                    "qemu-img",
                    *command,
                    env_variables=os.environ | _ENVIRONMENT,
                    preexec_fn=prepare,
                    on_execute=lambda process: self._started(process, connection),
                )
        except processutils.ProcessExecutionError as error:
            if self._stopped:
                raise Abandoned from error
            raise self._failure(error, int(cpu_time.total_seconds())) from error
        except FileNotFoundError as error:
            raise ConversionFailed(self._image, "qemu-img is not installed on this host") from error
        finally:
            with self._lock:
                self._process = None
        return str(output)

    def _started(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        connection.close()  # from now on the child's alone, so that the server notices its end
        with self._lock:
            self._process, self._began = process, self._monotonic()
            if self._stopped:
                process.kill()

    def _failure(self, error: processutils.ProcessExecutionError, cpu_seconds: int) -> Exception:
        errors = str(error.stderr or "")
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(code) in errors:
                return OSError(code, os.strerror(code))
        if _NO_NATIVE_AIO.search(errors):
            return NativeAioUnavailable(self._image, reason_of(errors) or "")
        if self._is_overdue:
            overdue = f"qemu-img had not finished after {self._wall_seconds:.0f} s, and was ended"
            return ConversionFailed(self._image, overdue)
        return ConversionFailed(
            self._image, _end_of(int(error.exit_code or 0), cpu_seconds) or reason_of(errors) or _UNKNOWN
        )


def _end_of(exit_code: int, cpu_seconds: int) -> str | None:
    """Return why qemu-img did not end by itself; None if it did."""
    if exit_code == -signal.SIGXCPU:
        return f"qemu-img was ended because it used more than {cpu_seconds} s of processor time"
    if exit_code == -signal.SIGKILL:
        return "qemu-img was killed from outside, most likely because the host had no memory left; see the kernel's log"
    if exit_code < 0:
        return f"qemu-img was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return None


def _escaped(path: Path) -> str:
    """Return the path as a value of qemu's options, in which a comma is doubled."""
    return str(path).replace(",", ",,")


def _parse_info(info: dict[str, Any]) -> ImageInfo:
    specific = info.get("format-specific", {}).get("data", {})
    return ImageInfo(
        format=info["format"],
        virtual_size_bytes=int(info["virtual-size"]),
        backing_file=info.get("backing-filename"),
        data_file=specific.get("data-file"),
        vmdk_type=specific.get("create-type"),
    )
