"""The three standard streams, as a program in a pipeline has to treat them."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import IO, TextIO

from precache.cli.exit_codes import ExitCode


class Heedless(io.TextIOWrapper):
    """A stream for messages: a write error (a full disk, a closed log) does not end the command."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def prepare_streams() -> None:
    """Have three standard streams, whatever we were started with; stderr is one that never fails.

    A descriptor that is closed would be taken by the next file or socket, and what is printed would go there. What
    stands in for stdout takes nothing, so that `settle` tells of what was lost.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            _set(name, _open_on_nothing(flags, "r" if name == "stdin" else "w"))
    plain = sys.stderr
    if plain is sys.__stderr__ and isinstance(plain, io.TextIOWrapper) and not isinstance(plain, Heedless):
        raw = io.BufferedWriter(io.FileIO(plain.fileno(), "w", closefd=False))
        _set("stderr", Heedless(raw, encoding=plain.encoding, line_buffering=True))
    accept_any_text(sys.stdout, sys.stderr)


def why_unwritten(error: OSError) -> str:
    """Return the system's words for output that nothing takes, or ours where those are hard to understand."""
    return "standard output is closed" if error.errno == errno.EBADF else error.strerror or str(error)


def accept_any_text(*streams: TextIO) -> None:
    """Let the streams take every character: what their encoding lacks is written as an escape."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle(code: int, stdout: TextIO, stderr: TextIO) -> int:
    """Write out what is still buffered and return the exit code that is true after that.

    A reader that has gone (`| head`) is no error of ours: quietly OUTPUT_CLOSED. A full disk is: REFUSED.
    """
    try:
        stdout.flush()
    except BrokenPipeError:
        _discard(stdout)
        return ExitCode.OUTPUT_CLOSED
    except OSError as error:
        _discard(stdout)
        stderr.write(f"precache: The output could not be written: {why_unwritten(error)}\n")
        return ExitCode.REFUSED
    if code == ExitCode.OUTPUT_CLOSED:
        _discard(stdout)
    return code


def _open_on_nothing(flags: int, mode: str) -> IO[str]:
    descriptor = os.open(os.devnull, flags)  # the lowest that is free: the one that is missing
    os.set_inheritable(descriptor, True)
    return os.fdopen(descriptor, mode, encoding="utf-8", closefd=False)


def _set(name: str, stream: IO[str]) -> None:
    # Both names, for `_discard` takes the second for the proof that the stream is the process's own.
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _discard(stream: TextIO) -> None:
    """Point the stream at nothing; else the interpreter flushes it once more at exit and complains."""
    if stream is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
