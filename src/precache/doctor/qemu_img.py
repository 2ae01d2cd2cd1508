"""On a host: the program that examines and converts images."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta

from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok, warning
from precache.sandbox import Needs, Sandbox

OLDEST = (6, 2)
"""The minimum of a current Nova; older ones were not tested."""

_VERSION = re.compile(r"version (\d+)\.(\d+)\S*")
_TIMEOUT_S = 5
_ADDRESS_SPACE_BYTES = 1 << 30
_WHERE_IT_MAY_BE = "install qemu-img and its libraries below /usr, as the distribution's package does"


def check_qemu_img(_config: Config) -> Iterator[Finding]:
    program = shutil.which("qemu-img")
    if program is None:
        yield failed("qemu-img is not in PATH", "install it; on Debian and Ubuntu: apt-get install qemu-utils")
        return
    try:
        said = subprocess.run(  # noqa: S603  the program that was just found, with one fixed word
            [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        yield failed(f"{program} does not run: {type(error).__name__}", "install it again")
        return
    yield judge_version(program, said)
    yield judge_confinement(program, Sandbox(warn=lambda _: None))


def judge_version(program: str, said: str) -> Finding:
    """Return the finding for the output of `qemu-img --version`."""
    match = _VERSION.search(said)
    if match is None:
        return failed(f"{program} does not print its version", "install qemu-img again")
    found = f"{program} is version {match[1]}.{match[2]}"
    if (int(match[1]), int(match[2])) < OLDEST:
        return warning(found, f"update it to {OLDEST[0]}.{OLDEST[1]} or newer")
    return ok(found)


def judge_confinement(program: str, sandbox: Sandbox) -> Finding:
    """Check whether the kernel can confine qemu-img to its own files, and whether qemu-img runs then."""
    if not sandbox.is_confining:
        return warning(
            "this kernel has no Landlock, so qemu-img can open any file that this user can open",
            "use Linux 5.13 or newer, with `landlock` in the boot option lsm= if that is set",
        )
    needs = Needs(timedelta(seconds=_TIMEOUT_S), _ADDRESS_SPACE_BYTES)
    with sandbox.entered_by(program, needs) as prepare:
        try:
            ran = subprocess.run(  # noqa: S603
                [program, "--version"],
                preexec_fn=prepare,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return failed(f"{program} does not run when Landlock confines it: {error}", _WHERE_IT_MAY_BE)
    if ran.returncode:
        return failed(f"{program} does not run when Landlock confines it: status {ran.returncode}", _WHERE_IT_MAY_BE)
    return ok("the kernel allows qemu-img to open only its image (Landlock)")
