"""qemu-img: asked what an image is, told to convert it. The only place that knows its options and its words.

It works on other people's files, so it runs under limits of processor time and address space, reads through a
connection that holds nothing but this one image, and is told the format instead of guessing it when it converts.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from oslo_concurrency import processutils

from precache.core.errors import ConversionFailed
from precache.core.images import ImageId
from precache.fetch.arriving_file import Abandoned
from precache.rules.conversion import RAW, conversion_cpu_time

_CONNECTION = "file.driver=nbd,file.server.type=fd,file.server.str=0"
"""The image is a block device behind the socket that the process finds as its standard input."""

_ENVIRONMENT = {
    "LANG": "C",
    "LC_ALL": "C",
    # On a machine with many processors each of qemu-img's threads would reserve 64 MiB of address space for itself.
    "MALLOC_ARENA_MAX": "4",
}

_NO_SPACE = "No space left on device"


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
    """What qemu-img takes an image for. backing_file, data_file, vmdk_type: None if there is none."""

    format: str
    virtual_size_bytes: int
    backing_file: str | None = None
    data_file: str | None = None
    vmdk_type: str | None = None


class QemuImg:
    """Runs qemu-img for one image, one run at a time. `stop` may come from another thread."""

    def __init__(self, *, image: ImageId, limits: QemuImgLimits) -> None:
        self._image = image
        self._limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def info(self, connection: socket.socket) -> ImageInfo:
        """Say what is behind the connection, which is closed. Raises ConversionFailed if it is nothing readable."""
        return self._info(["--image-opts", _CONNECTION], connection)

    def info_of_file(self, path: Path) -> ImageInfo:
        """Say what a file of ours looks like to a tool that guesses."""
        return self._info([str(path)], None)

    def convert(
        self, connection: socket.socket, source_format: str, target: Path, *, virtual_size_bytes: int, direct: bool
    ) -> None:
        """Write what is behind the connection, which is closed, to the raw file `target`, with its holes.

        direct: past the page cache, as Nova does where the file system can; else through it.
        Raises ConversionFailed, OSError (ENOSPC) if the disk is full, Abandoned if it was stopped.
        """
        cache = "none" if direct else "writeback"
        source = f"driver={source_format},{_CONNECTION}"
        # Out-of-order writes (-W): without them one slow read holds up all that have come in behind it.
        command = ["convert", "-W", "-t", cache, "-O", RAW, "--image-opts", source, str(target)]
        self._run(command, connection, conversion_cpu_time(virtual_size_bytes, self._limits.cpu_time))

    def stop(self) -> None:
        """End the run under way, if any, and refuse any other."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _info(self, source: list[str], connection: socket.socket | None) -> ImageInfo:
        output = self._run(["info", "--output=json", *source], connection, self._limits.cpu_time)
        try:
            return _parse_info(json.loads(output))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConversionFailed(self._image, "'qemu-img info' parsing failed.") from error

    def _run(self, command: list[str], connection: socket.socket | None, cpu_time: timedelta) -> str:
        seconds = int(cpu_time.total_seconds())
        try:
            output, _ = processutils.execute(
                "qemu-img",
                *command,
                prlimit=processutils.ProcessLimits(
                    cpu_time=seconds, address_space=self._limits.address_space_bytes, core_file_size=0
                ),
                env_variables=os.environ | _ENVIRONMENT,
                preexec_fn=_preparation(connection),
                on_execute=lambda process: self._started(process, connection),
            )
        except processutils.ProcessExecutionError as error:
            if self._stopped:
                raise Abandoned from error
            raise self._failure(error, seconds) from error
        finally:
            with self._lock:
                self._process = None
        return str(output)

    def _started(self, process: subprocess.Popen[bytes], connection: socket.socket | None) -> None:
        if connection is not None:
            connection.close()  # from now on the child's alone, so that the server notices its end
        with self._lock:
            self._process = process
            if self._stopped:
                process.kill()

    def _failure(self, error: processutils.ProcessExecutionError, cpu_seconds: int) -> Exception:
        lines = str(error.stderr or "").strip().splitlines()
        reason = lines[-1] if lines else f"qemu-img ended with status {error.exit_code}"
        if _NO_SPACE in reason:
            return OSError(errno.ENOSPC, _NO_SPACE)
        if error.exit_code == -signal.SIGKILL:
            reason = f"qemu-img was killed: it used more than {cpu_seconds} s of processor time, or memory ran out"
        return ConversionFailed(self._image, reason)


def _preparation(connection: socket.socket | None) -> Callable[[], object]:
    """Give what the child does just before it becomes qemu-img."""
    number = None if connection is None else connection.fileno()

    def prepare() -> None:
        # A terminal's Ctrl-C and systemd's stop reach our children too, but whether to end them is for us to say: one
        # that died before we knew why would pass for a broken image.
        for told_to_end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(told_to_end, signal.SIG_IGN)
        if number is not None:
            os.dup2(number, 0)

    return prepare


def _parse_info(info: dict[str, Any]) -> ImageInfo:
    specific = info.get("format-specific", {}).get("data", {})
    return ImageInfo(
        format=info["format"],
        virtual_size_bytes=int(info["virtual-size"]),
        backing_file=info.get("backing-filename"),
        data_file=specific.get("data-file"),
        vmdk_type=specific.get("create-type"),
    )
