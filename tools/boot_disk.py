"""Boots a disk under qemu and waits for a line on its serial console, to prove that the disk works.

    python -m tools.boot_disk DISK [--expect TEXT] [--timeout SECONDS]

The guest runs under qemu's emulation (TCG), which works on every machine; KVM is never used. The guest writes to the
disk, so it should be an overlay.
"""

from __future__ import annotations

import argparse
import os
import re
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.build_image import GREETING

TAIL_BYTES = 2048
"""How much of the console is kept, and shown if the line never comes."""

REST_OF_LINE_S = 0.2
"""A prompt such as `login:` has no newline: it counts as a line when nothing follows for this time."""

GUEST_MEMORY_MIB = 256
STOP_TIMEOUT_S = 10


class DidNotBoot(Exception):
    """The line did not appear; the text says why and ends with the last lines of the console."""


@dataclass(frozen=True, slots=True)
class Boot:
    """A successful boot. line: the expected console line."""

    line: str
    seconds: float


def boot(disk: Path, *, expect: str = GREETING, timeout_s: float = 120, disk_format: str = "qcow2") -> Boot:
    """Boot until the console shows a line with `expect`, then end the guest.

    Raises DidNotBoot if qemu cannot be started or ends earlier, or the line does not appear in time.
    """
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-m", str(GUEST_MEMORY_MIB), "-nodefaults", "-no-reboot",
        "-display", "none", "-monitor", "none", "-serial", "stdio",
        "-drive", f"file={_escaped(disk)},format={disk_format},if=virtio",
    ]  # fmt: skip
    start = time.monotonic()
    try:
        # In a session of its own: a Ctrl-C in the terminal reaches only this process, which ends the guest.
        guest = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise DidNotBoot("qemu-system-x86_64 is not installed; tools/install-packages installs it") from error
    try:
        line = _wait_for(expect, guest, start + timeout_s)
    finally:
        _end(guest)
    return Boot(line, time.monotonic() - start)


def _wait_for(expect: str, guest: subprocess.Popen[bytes], deadline: float) -> str:
    assert guest.stdout is not None
    console = ""
    with selectors.DefaultSelector() as selector:
        selector.register(guest.stdout, selectors.EVENT_READ)
        while not (whole_line := re.search(rf"^.*{re.escape(expect)}.*\n", console, re.MULTILINE)):
            has_begun = expect in console
            if not selector.select(REST_OF_LINE_S if has_begun else max(0, deadline - time.monotonic())):
                if has_begun:
                    return console.splitlines()[-1].strip()
                raise DidNotBoot(f"{expect!r} did not appear on the console in time; its end:\n{console}")
            piece = os.read(guest.stdout.fileno(), TAIL_BYTES)
            if not piece:
                raise DidNotBoot(f"qemu ended with code {guest.wait()} before {expect!r} appeared:\n{console}")
            console = (console + piece.decode(errors="replace"))[-TAIL_BYTES:]
    return whole_line.group().strip()


def _end(guest: subprocess.Popen[bytes]) -> None:
    guest.terminate()
    try:
        guest.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        guest.kill()
        guest.wait()
    if guest.stdout is not None:
        guest.stdout.close()


def _escaped(disk: Path) -> str:
    # In a -drive option a comma ends the value; a doubled comma is a literal one.
    return str(disk).replace(",", ",,")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.boot_disk", description="Boot a disk and wait for a line.")
    parser.add_argument("disk", type=Path)
    parser.add_argument("--expect", default=GREETING, metavar="TEXT", help="part of the line; default: %(default)s")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument("--format", default="qcow2", help="format of the disk; default: %(default)s")
    wanted = parser.parse_args()
    try:
        booted = boot(wanted.disk, expect=wanted.expect, timeout_s=wanted.timeout, disk_format=wanted.format)
    except DidNotBoot as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{booted.line}\nbooted in {booted.seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
