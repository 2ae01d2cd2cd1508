"""qemu-img for small questions and small files, with little time and memory: what it reads may be hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oslo_concurrency import processutils

from precache.core.errors import DiskUnreadable

_LIMITS = processutils.ProcessLimits(cpu_time=30, address_space=1 << 30)


class QemuImgFailed(Exception):
    """qemu-img is missing or refused; the text is its own last line. Stays inside this package."""


def run(*arguments: str) -> str:
    """Run qemu-img and give what it prints. Raises QemuImgFailed."""
    try:
        out, _ = processutils.execute(
            "qemu-img", *arguments, prlimit=_LIMITS, env_variables={"LC_ALL": "C", "LANG": "C"}
        )
    except processutils.ProcessExecutionError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        raise QemuImgFailed(lines[-1] if lines else f"qemu-img ended with status {error.exit_code}") from error
    except OSError as error:
        raise QemuImgFailed(f"qemu-img cannot be started: {error.strerror}") from error
    return str(out)


def read_info(path: Path) -> dict[str, Any]:
    """Give what qemu-img knows of a disk, also of one that a guest is writing to. Raises DiskUnreadable."""
    try:
        found = json.loads(run("info", "-U", "--output=json", str(path)))
    except (QemuImgFailed, ValueError) as error:
        raise DiskUnreadable(str(path), str(error)) from error
    if not isinstance(found, dict):
        raise DiskUnreadable(str(path), "qemu-img says nothing about it")
    return found
