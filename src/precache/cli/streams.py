"""The three standard streams of a program in a pipeline."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO, TextIO, cast

from precache.cli.exit_codes import ExitCode


class ErrorTolerantStream(io.TextIOWrapper):
    """A stream for messages: a write error (a full disk, a closed log) does not end the command."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


_STDOUT = "standard output"


class OutputStream(io.TextIOWrapper):
    """A stream for results: a write error has the stream as its file name, so that it can be reported.

    failure: the first such error, because argparse ignores it.
    """

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        with self._errors_named():
            return super().write(text)

    def flush(self) -> None:
        with self._errors_named():
            super().flush()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = _STDOUT
            self.failure = self.failure or error
            raise


def prepare_streams() -> None:
    """Ensure that all three standard streams are open, and that writing to stderr never fails.

    The next file or socket would get a closed descriptor's number, and the output would go there. The replacement of a
    closed stdout is not writable, so that `flush_streams` reports lost output.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            _set(name, _open_on_nothing(flags, "r" if name == "stdin" else "w"))
    plain = sys.stderr
    if plain is sys.__stderr__ and isinstance(plain, io.TextIOWrapper) and not isinstance(plain, ErrorTolerantStream):
        raw = io.BufferedWriter(io.FileIO(plain.fileno(), "w", closefd=False))
        _set("stderr", ErrorTolerantStream(raw, encoding=plain.encoding, line_buffering=True))
    _name_write_errors_of_stdout()
    accept_any_text(sys.stdout, sys.stderr)


def _name_write_errors_of_stdout() -> None:
    plain = sys.stdout
    if plain is not sys.__stdout__ or not isinstance(plain, io.TextIOWrapper) or isinstance(plain, OutputStream):
        return
    raw = io.FileIO(plain.fileno(), "w", closefd=False)
    # PYTHONUNBUFFERED stays in effect.
    buffer = cast(BinaryIO, raw) if plain.write_through else io.BufferedWriter(raw)
    _set(
        "stdout",
        OutputStream(
            buffer, encoding=plain.encoding, line_buffering=plain.line_buffering, write_through=plain.write_through
        ),
    )


def explain_os_error(error: OSError) -> str:
    """Return the message for an error of the system: which file and why, or that the output could not be written."""
    reason = error.strerror or str(error)
    if error.filename == _STDOUT:
        is_closed = error.errno == errno.EBADF
        return f"The output could not be written: {_STDOUT}{' is closed' if is_closed else f': {reason}'}"
    return f"{error.filename}: {reason}" if error.filename else reason


def accept_any_text(*streams: TextIO) -> None:
    """Let the streams accept every character: one that their encoding lacks is escaped."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams(code: int, stdout: TextIO, stderr: TextIO) -> int:
    """Flush the streams and return the final exit code.

    If the reader has closed the pipe (`| head`), return OUTPUT_CLOSED without a message; for a full disk, REFUSED.
    """
    failure = stdout.failure if isinstance(stdout, OutputStream) else None
    # A command that fails has reported the error itself; the rest of its output may still be in the buffer.
    is_reported = failure is not None and code != ExitCode.DONE
    try:
        stdout.flush()
    except OSError as error:
        failure = failure or error
    if failure is None:
        return code
    _discard(stdout)
    if isinstance(failure, BrokenPipeError):
        return ExitCode.OUTPUT_CLOSED
    if not is_reported:
        stderr.write(f"precache: {explain_os_error(failure)}\n")
    return ExitCode.REFUSED


def _open_on_nothing(flags: int, mode: str) -> IO[str]:
    descriptor = os.open(os.devnull, flags)  # os.open returns the lowest free descriptor: the missing one
    os.set_inheritable(descriptor, True)
    return os.fdopen(descriptor, mode, encoding="utf-8", closefd=False)


def _set(name: str, stream: IO[str]) -> None:
    # Both names, because `_discard` recognises the process's own stream by the second.
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _discard(stream: TextIO) -> None:
    """Redirect the stream to /dev/null; else the interpreter flushes it again at exit and prints an error."""
    if stream is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
