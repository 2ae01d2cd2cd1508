"""A qemu-img that begins to convert only when a test lets it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SCRIPT = """#!/bin/sh
[ "$1" = convert ] && : > {has_begun} && while [ ! -e {may_go_on} ]; do sleep 0.05; done
exec {qemu_img} "$@"
"""


class SlowQemuImg:
    """A program below `root`, found first by whoever has `environment`."""

    def __init__(self, root: Path) -> None:
        self._has_begun, self._may_go_on = root / "has-begun", root / "may-go-on"
        directory = root / "bin"
        directory.mkdir()
        script = directory / "qemu-img"
        real = shutil.which("qemu-img")
        script.write_text(SCRIPT.format(has_begun=self._has_begun, may_go_on=self._may_go_on, qemu_img=real))
        script.chmod(0o755)
        self.environment = {"PATH": f"{directory}:{os.environ['PATH']}"}

    @property
    def has_begun(self) -> bool:
        return self._has_begun.exists()

    def release(self) -> None:
        self._may_go_on.touch()
