"""Runs in the measured process: records which functions of Precache are called and which transactions begin.

    python recorder.py PACKAGE COMMAND...

Runs `precache COMMAND...`. A line `start` on its standard input begins the record. The next line ends it and names the
file to which the record is written as JSON. Not part of the package `tools`: the Python of another checkout runs it, so
it imports nothing from this one.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class Recorder:
    """Records all threads of the process from `start` on. package: the folder of `precache`."""

    def __init__(self, package: str) -> None:
        self._package = package + "/"
        self._is_recording = False
        self._codes: dict[int, CodeType] = {}
        self._transactions: list[str] = []

    def obey(self) -> None:
        """Obey the lines of the standard input until its end."""
        for line in sys.stdin:
            if line.strip() == "start":
                self._is_recording = True
            else:
                self._is_recording = False
                self._write_report(Path(line.strip()))

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Record a call; for threading.setprofile."""
        if self._is_recording and event == "call":
            self._codes[id(frame.f_code)] = frame.f_code

    def note_transaction(self, _: object) -> None:
        """Record the begin of a transaction; for SQLAlchemy's event."""
        if self._is_recording:
            self._transactions.append(self._caller())

    def _caller(self) -> str:
        """Return the nearest function on the stack outside the shared SQL code."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            name = self._name(frame.f_code)
            if name and not name.startswith("adapters/sql/"):
                return name
            frame = frame.f_back
        return "?"

    def _name(self, code: CodeType) -> str | None:
        if not code.co_filename.startswith(self._package):
            return None
        return f"{code.co_filename.removeprefix(self._package)}:{code.co_qualname}"

    def _write_report(self, path: Path) -> None:
        # A lambda, a comprehension and the body of a module belong to the code that contains them.
        named = [code for code in list(self._codes.values()) if not code.co_name.startswith("<")]
        functions = sorted({name for code in named if (name := self._name(code))})
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps({"functions": functions, "transactions": self._transactions}))
        unfinished.rename(path)


def main() -> None:
    package, *command = sys.argv[1:]
    recorder = Recorder(package)
    threading.Thread(target=recorder.obey, name="recorder", daemon=True).start()
    threading.setprofile(recorder.profile)  # not in this thread, which imports and then waits for a signal

    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "begin", recorder.note_transaction)

    from precache.cli.main import main as run

    sys.argv = ["precache", *command]
    sys.exit(run())


if __name__ == "__main__":
    main()
