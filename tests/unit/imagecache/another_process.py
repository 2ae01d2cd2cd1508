"""Another process on the same host, led step by step through its standard input and output."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Every program begins with this: the cache in argv[1], its locks beside it, `say` to us and `hear` from us.
PROLOGUE = """
import sys
from pathlib import Path
from precache.adapters.clock_system import SystemClock
from precache.core.images import ImageId
from precache.imagecache.cache import ImageCache
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.staging import Fetched
root = Path(sys.argv[1])
cache = ImageCache(directory=root / "_base", locks_directory=root / "locks", clock=SystemClock())
def say(word): print(word, flush=True)
def hear(): return sys.stdin.readline().strip()
"""


class Process:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def hear(self) -> str:
        """Return the next line that the process says; empty once it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it as kill -9 does, and wait until the kernel has closed its files."""
        self._process.kill()
        self._process.wait()


@contextmanager
def another_process(root: Path, program: str) -> Iterator[Process]:
    """Run a program on the cache below `root`; it is gone afterwards, come what may."""
    code = PROLOGUE + textwrap.dedent(program)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()
