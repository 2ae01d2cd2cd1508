"""Downloads Debian packages as files, verified by apt, without root and without installing them.

Works on Debian and Ubuntu. apt checks every file against the signed lists of its archive. Missing or outdated lists are
fetched into a separate folder, so that the machine's apt is not changed.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KERNELS = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64", "linux-image-generic")
"""Packages that depend on the newest kernel, smallest first, by Debian's and Ubuntu's names."""

LISTS = Path("/var/lib/apt/lists")
"""The folder of the machine's package lists."""


class PackageUnavailable(Exception):
    """apt cannot download the package; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that apt can download. package: the one with the files. version: changes with every release."""

    package: str
    version: str


class Apt:
    """apt with this machine's settings; with its lists, or those in `state` after `refresh`."""

    def __init__(self, *, state: Path) -> None:
        self._state = state.absolute()
        # Fetch files as the current user, because apt's own user may not write here.
        self._options = ["-oAPT::Sandbox::User=root"]

    def lists_changed_at(self) -> float:
        """Return the time of the last change of the machine's lists, in seconds since the epoch; 0 without lists."""
        return max((file.stat().st_mtime for file in LISTS.glob("*_Packages*")), default=0)

    def refresh(self) -> None:
        """Fetch the lists of all sources into the separate folder, and use those from now on.

        A source that does not answer is ignored: only the package matters.
        """
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._state / folder).mkdir(parents=True, exist_ok=True)
        self._options += [
            f"-oDir::State::Lists={self._state / 'lists'}",
            f"-oDir::Cache={self._state / 'cache'}",
            "-oAcquire::Languages=none",
        ]
        self._run("apt-get", "update", "-qq")

    def newest_kernel(self) -> Kernel:
        """Return the newest kernel. Raises PackageUnavailable if the lists contain none."""
        shown = self._run("apt-cache", "show", "--no-all-versions", *KERNELS).stdout
        known = {_field("Package", stanza): stanza for stanza in shown.split("\n\n")}
        for name in KERNELS:
            package = re.search(r"linux-image-\S+", _field("Depends", known.get(name, "")))
            if package:
                return Kernel(package.group(), _field("Version", known[name]))
        raise PackageUnavailable(
            f"apt knows none of the kernel packages {', '.join(KERNELS)}; check the machine's network and its sources "
            "in /etc/apt"
        )

    def download(self, packages: Sequence[str], folder: Path) -> None:
        """Fetch the packages' files into `folder`. Raises PackageUnavailable."""
        done = self._run("apt-get", "download", "-qq", *packages, cwd=folder)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise PackageUnavailable(
                f"apt cannot fetch {' and '.join(packages)}: {lines[-1]}; check the machine's network and its sources "
                "in /etc/apt"
            )

    def _run(self, program: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [program, *self._options, *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def unpack(debs: Path, target: Path) -> None:
    """Unpack the files of every package in `debs` below `target`; do not run their scripts."""
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", deb, target], check=True)


def _field(name: str, stanza: str) -> str:
    found = re.search(rf"^{name}: (.*)", stanza, re.MULTILINE)
    return found.group(1) if found else ""
