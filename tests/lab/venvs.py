"""The environments of their own in which servers and clients of OpenStack are installed, apart from Precache itself.

Their programs see nothing of the test run's own environment.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import ServerFailed

ROOT = Path(__file__).parents[2]
LAB = Path(__file__).parent


@dataclass(frozen=True)
class Venv:
    """One of them. constraints: the versions that are in it. target: of the Makefile, which makes it."""

    path: Path
    constraints: Path
    target: str

    def program(self, name: str) -> Path:
        return self.path / "bin" / name

    def variables(self, home: Path) -> dict[str, str]:
        """Return the whole environment of a process, which has its home there."""
        path = os.pathsep.join([str(self.path / "bin"), os.environ["PATH"]])
        return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(home), "PYTHONWARNINGS": "ignore"}

    def run(self, name: str, *words: str | Path, home: Path) -> None:
        """Run a program to its end. Raises ServerFailed with what it said if it fails."""
        self.check()
        done = subprocess.run(
            [self.program(name), *words],
            env=self.variables(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"{name} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def check(self) -> None:
        """Raise ServerFailed with what to do if it was not made."""
        if not self.path.exists():
            raise ServerFailed(f"{self.path} is not there: run `make {self.target}`")


CLOUD = Venv(ROOT / "var/cloud/venv", LAB / "cloud-constraints.txt", "setup-cloud")
"""Keystone, Glance and the stock clients."""

NOVA = Venv(ROOT / "var/nova/venv", LAB / "nova-constraints.txt", "setup-nova")
"""Nova and Placement."""
