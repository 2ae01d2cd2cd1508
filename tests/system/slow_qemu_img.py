"""A qemu-img that begins to convert only when a test lets it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SCRIPT = """#!/bin/sh
[ "$1" = convert ] && while [ ! -e {may_go_on} ]; do sleep 0.05; done
exec {qemu_img} "$@"
"""


class SlowQemuImg:
    """A program below `root`, found first by whoever has `environment`."""

    def __init__(self, root: Path) -> None:
        self._may_go_on = root / "may-go-on"
        directory = root / "bin"
        directory.mkdir()
        self._script = script = directory / "qemu-img"
        real = shutil.which("qemu-img")
        script.write_text(SCRIPT.format(may_go_on=self._may_go_on, qemu_img=real))
        script.chmod(0o755)
        self.environment = {"PATH": f"{directory}:{os.environ['PATH']}"}

    @property
    def has_begun(self) -> bool:
        return any(_words(process)[1:3] == [os.fsencode(self._script), b"convert"] for process in _processes())

    def release(self) -> None:
        self._may_go_on.touch()


def _processes() -> list[Path]:
    return [process for process in Path("/proc").iterdir() if process.name.isdigit()]


def _words(process: Path) -> list[bytes]:
    """Return the command line, the shell's own name first; the script can leave no sign on the disk, for it may not."""
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended
        return []
