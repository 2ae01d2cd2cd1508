"""The exit codes for scripts. Only this module chooses them.

They are never renumbered. docs/cli.md shows the same table to readers.
"""

from __future__ import annotations

from enum import IntEnum

from precache.cli.errors import CommandUnavailable, UsageError
from precache.core.errors import DatabaseUrlRefused, InvalidConfiguration, PrecacheError, Unavailable


class ExitCode(IntEnum):
    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3
    PARTLY_FAILED = 4
    FAILED = 5
    CANCELLED = 6
    TIMED_OUT = 7
    UNHEALTHY = 8
    EXPIRED = 9
    INTERRUPTED = 130  # 128 + SIGINT, as shells count
    OUTPUT_CLOSED = 141  # 128 + SIGPIPE: the reader of the output has closed it


MEANINGS = {
    ExitCode.DONE: "done; with --wait: the job succeeded; with 'job cancel --wait': the jobs ended cancelled",
    ExitCode.REFUSED: "refused, or something that was named does not exist or cannot be used; the message says what",
    ExitCode.USAGE: "the command line or the configuration cannot be used as written; nothing was done",
    ExitCode.UNAVAILABLE: "the service cannot be reached or failed; trying again later may help",
    ExitCode.PARTLY_FAILED: "with --wait: the job ended partly_failed",
    ExitCode.FAILED: "with --wait: the job ended failed",
    ExitCode.CANCELLED: "with --wait: the job ended cancelled (not with 'job cancel', see 0)",
    ExitCode.TIMED_OUT: "with --wait: --timeout ran out; the job continues",
    ExitCode.UNHEALTHY: "doctor: a check has failed",
    ExitCode.EXPIRED: "with --wait: the job ended expired, because its deadline passed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; a job that was accepted continues",
    ExitCode.OUTPUT_CLOSED: "the reader of the output has closed it (| head)",
}

# The first match decides, so subclasses come before their parents.
_BY_ERROR: tuple[tuple[type[PrecacheError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (InvalidConfiguration, ExitCode.USAGE),
    (DatabaseUrlRefused, ExitCode.USAGE),
    (CommandUnavailable, ExitCode.REFUSED),
    (Unavailable, ExitCode.UNAVAILABLE),
)

_BY_JOB_STATE = {
    "succeeded": ExitCode.DONE,
    "partly_failed": ExitCode.PARTLY_FAILED,
    "failed": ExitCode.FAILED,
    "cancelled": ExitCode.CANCELLED,
    "expired": ExitCode.EXPIRED,
}


def code_for_error(error: PrecacheError) -> ExitCode:
    """Return the exit code of a command that ended with this error."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.REFUSED)


def code_for_job(state: str) -> ExitCode:
    """Return the exit code for a job that was waited for and ended in `state`."""
    return _BY_JOB_STATE.get(state, ExitCode.FAILED)
