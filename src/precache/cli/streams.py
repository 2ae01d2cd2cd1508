"""The three standard streams, as a program in a pipeline has to treat them."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from precache.cli.exit_codes import ExitCode


def accept_any_text(*streams: TextIO) -> None:
    """Let the streams take every character: what their encoding lacks is written as an escape."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle(code: int, stdout: TextIO, stderr: TextIO) -> int:
    """Write out what is still buffered and give the exit code that is true after that.

    A reader that has gone (`| head`) is no error of ours: quietly OUTPUT_CLOSED. A full disk is: REFUSED.
    """
    try:
        stdout.flush()
    except BrokenPipeError:
        _discard(stdout)
        return ExitCode.OUTPUT_CLOSED
    except OSError as error:
        _discard(stdout)
        stderr.write(f"precache: The output could not be written: {error.strerror}\n")
        return ExitCode.REFUSED
    if code == ExitCode.OUTPUT_CLOSED:
        _discard(stdout)
    return code


def _discard(stream: TextIO) -> None:
    """Point the stream at nothing; else the interpreter flushes it once more at exit and complains."""
    if stream is sys.__stdout__:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
