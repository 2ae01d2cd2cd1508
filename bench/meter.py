"""Measures one process and all its children from outside, by /proc alone.

The process runs in a session of its own, by which its children are found. The kernel counts its processor time and the
bytes that it writes to the disk, including those of ended children. Memory is read 20 times a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_INTERVAL_S = 0.05
END_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Call:
    """One call. fetched: its result. peak_bytes: the peak of resident memory of the process and its children.

    decoded_by: as the process says; empty if it does not say it.
    cpu_s: processor time of the process and its ended children, user and system.
    written_bytes: all bytes written meanwhile, even if they reached the disk later.
    """

    seconds: float
    fetched: bool
    decoded_by: str
    cpu_s: float
    written_bytes: int
    peak_bytes: int


class MeasuredProcess:
    """A worker that prints `ready`, then answers every line with a line of JSON. Ends with the context manager."""

    def __init__(self, command: Sequence[str | Path], cwd: Path) -> None:
        self._process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._memory = _MemoryWatch(self._process.pid)

    def __enter__(self) -> MeasuredProcess:
        try:
            self._hear("ready")
        except BaseException:
            self._end()
            raise
        self._memory.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.stop()
        self._end()

    def call(self) -> Call:
        """Make the one call."""
        pid = self._process.pid
        cpu_before, written_before = _cpu_seconds(pid), _written_bytes(pid)
        answer: dict[str, Any] = json.loads(self._ask())
        cpu, written = _cpu_seconds(pid) - cpu_before, _written_bytes(pid) - written_before
        decoded_by = answer.get("decoded_by", "")
        return Call(answer["seconds"], answer["fetched"], decoded_by, cpu, written, self._memory.peak_bytes())

    def _ask(self) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write("call\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self, expected: str = "") -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line or not line.startswith(expected):
            raise RuntimeError(f"{self._process.args} failed; see its output above")
        return line

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class _MemoryWatch:
    """The peak memory of all processes of a session.

    Each process counts with its own peak so far, by the kernel, so that only a process that starts and ends between two
    reads is missed. Shared pages are counted for each process. The sum is an upper bound.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._peak_bytes = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def peak_bytes(self) -> int:
        self._look()
        return self._peak_bytes

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        now = sum(_high_water_bytes(process) for process in _processes_of(self._session))
        with self._lock:
            self._peak_bytes = max(self._peak_bytes, now)


def _processes_of(session: int) -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = _stat_fields(process)
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[3]) == session:
            found.append(process)
    return found


def _stat_fields(process: Path) -> list[str]:
    """Return the fields after the name, which is in parentheses and may contain any character.

    0: state, 1: parent, 2: group, 3: session; 11 to 14: user and system time, and those of ended children.
    """
    return (process / "stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    ticks = sum(int(field) for field in _stat_fields(Path(f"/proc/{pid}"))[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _high_water_bytes(process: Path) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _written_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
