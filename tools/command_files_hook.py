"""Puts the man page and the completions into the wheel and the sdist.

In a checkout they are generated from the commands, so a build there needs the program's dependencies. The sdist
contains them in its folder `share`; a wheel that is built from it uses those and needs only hatchling.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The path of the sources is added here and not in PYTHONPATH: at the start of Python, pip removes from that the paths
# of the environment in which pip runs, and an editable installation has added the sources to them.
_RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("tools.command_files", run_name="__main__")
"""


class CommandFilesHook(BuildHookInterface[Any]):
    """_made: the folder of the files until the build has packed them."""

    _made: TemporaryDirectory[str] | None = None

    @property
    def _ready(self) -> Path:
        return Path(self.root) / "share"

    def dependencies(self) -> list[str]:
        return [] if self._ready.is_dir() else list(self.metadata.core.dependencies)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        share = self._ready if self._ready.is_dir() else self._make()
        place = "force_include" if self.target_name == "sdist" else "shared_data"
        build_data[place][str(share)] = "share"

    def _make(self) -> Path:
        self._made = TemporaryDirectory(prefix="precache-share-")
        # In a process of its own, so that it imports this tree and not an installed package.
        command = [sys.executable, "-c", _RUN, str(Path(self.root) / "src"), self._made.name]
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run(command, cwd=self.root, env=environment, check=True)
        return Path(self._made.name)

    def finalize(self, *_: object) -> None:
        if self._made:
            self._made.cleanup()
