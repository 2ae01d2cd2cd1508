"""qemu-img for small questions and small files, with little time and memory: what it reads may be hostile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from oslo_concurrency import processutils

from precache.core.errors import DiskUnreadable

_LIMITS = processutils.ProcessLimits(cpu_time=30, address_space=1 << 30)

_LONGEST_RUN_S = 60
"""By the wall clock: a hung network file system takes no processor time."""


class QemuImgFailed(Exception):
    """qemu-img is missing or refused; the text is its own last line. Stays inside this package."""


def run(*arguments: str) -> str:
    """Run qemu-img and return what it prints. Raises QemuImgFailed."""
    try:
        out, _ = processutils.execute(
            "qemu-img",
            *arguments,
            prlimit=_LIMITS,
            env_variables={"LC_ALL": "C", "LANG": "C"},
            timeout=_LONGEST_RUN_S,
            on_completion=_end,
        )
    except subprocess.TimeoutExpired as error:
        raise QemuImgFailed(f"qemu-img was ended after {_LONGEST_RUN_S} s without an answer") from error
    except processutils.ProcessExecutionError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        raise QemuImgFailed(lines[-1] if lines else f"qemu-img ended with status {error.exit_code}") from error
    except OSError as error:
        raise QemuImgFailed(f"qemu-img cannot be started: {error.strerror}") from error
    return str(out)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that took too long; the library leaves it running."""
    if process.poll() is None:
        process.kill()
        process.wait()


def read_info(path: Path, disk_format: str) -> dict[str, Any]:
    """Return what qemu-img knows of a disk of this format. Raises DiskUnreadable.

    disk_format: never left to qemu-img, which opens every file that the content of a guessed format names.
    """
    try:
        found = json.loads(run("info", "-U", "-f", disk_format, "--output=json", str(path)))
    except (QemuImgFailed, ValueError) as error:
        raise DiskUnreadable(str(path), str(error)) from error
    if not isinstance(found, dict):
        raise DiskUnreadable(str(path), "qemu-img says nothing about it")
    return found
