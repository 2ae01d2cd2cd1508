"""The properties of the machine that affect the figures."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

CONSTRAINTS = Path(__file__).with_name("constraints.txt")


def describe_machine(folder: Path) -> dict[str, str]:
    """Return processor, memory, kernel, file system of `folder`, and versions of the programs."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processor": f"{os.cpu_count()} x {model.group(1) if model else platform.machine()}",
        "memory": f"{int(memory.group(1)) / (1 << 20):.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "file system": _output("df", "--output=fstype", str(folder)).split("\n")[-1],
        "python": platform.python_version(),
        "nova": _pinned("nova"),
        "qemu-img": _output("qemu-img", "--version").split("\n")[0].removeprefix("qemu-img version "),
    }


def _pinned(package: str) -> str:
    pin = re.search(rf"^{package}==(.*)$", CONSTRAINTS.read_text(), re.MULTILINE)
    return pin.group(1) if pin else "unknown"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
