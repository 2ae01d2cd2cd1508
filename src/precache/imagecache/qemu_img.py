"""Runs qemu-img on small files, with little time and memory, because the content may be hostile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from oslo_concurrency import processutils

from precache.core.errors import DiskUnreadable

_LIMITS = processutils.ProcessLimits(cpu_time=30, address_space=1 << 30)

_LONGEST_RUN_S = 60
"""Wall-clock time: a hung network file system uses no processor time."""


class QemuImgFailed(Exception):
    """qemu-img is missing or failed; the text is its last line. Used only inside this package."""


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
        raise QemuImgFailed(f"qemu-img was killed after {_LONGEST_RUN_S} s without an answer") from error
    except processutils.ProcessExecutionError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        raise QemuImgFailed(lines[-1] if lines else f"qemu-img ended with status {error.exit_code}") from error
    except OSError as error:
        raise QemuImgFailed(f"qemu-img cannot be started: {error.strerror}") from error
    return str(out)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that took too long; the library leaves it running."""
    if process.poll() is None:
        process.kill()
        process.wait()


def read_info(path: Path, disk_format: str) -> dict[str, Any]:
    """Return qemu-img's description of a disk of this format. Raises DiskUnreadable.

    disk_format: qemu-img never guesses it, because it then opens every file that the content names.
    """
    try:
        found = json.loads(run("info", "-U", "-f", disk_format, "--output=json", str(path)))
    except (QemuImgFailed, ValueError) as error:
        raise DiskUnreadable(str(path), str(error)) from error
    if not isinstance(found, dict):
        raise DiskUnreadable(str(path), "qemu-img prints nothing about it")
    return found
