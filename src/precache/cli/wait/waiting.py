"""`--wait` of commands: its options, its view, and its messages at the end or an interruption."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from typing import TextIO

from precache.cli.client import JsonObject
from precache.cli.client.jobs import Jobs
from precache.cli.errors import UsageError
from precache.cli.exit_codes import ExitCode, code_for_job
from precache.cli.options import seconds
from precache.cli.wait.follow import ProgressView, WaitResult, follow, in_full, only_failures
from precache.cli.wait.plain import PlainView
from precache.cli.wait.snapshot import Snapshot
from precache.cli.wait.wording import closing_report
from precache.core.errors import Unavailable
from precache.core.jobs import JobState


def add_wait_options(parser: argparse.ArgumentParser) -> None:
    add_end_options(parser, "the job has")
    parser.add_argument(
        "--all",
        action="store_true",
        dest="every_task",
        help="with --wait: show every task, not only failures",
    )


def add_end_options(parser: argparse.ArgumentParser, who: str) -> None:
    """Add the options of a command that only waits. who: the subject of the help's sentence, with its verb."""
    parser.add_argument("--wait", action="store_true", help=f"wait until {who} ended, and show the progress")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="with --wait: the longest wait; after that exit with code 7"
    )


def check_end_options(parsed_args: argparse.Namespace) -> None:
    """Raise UsageError for a time limit that would do nothing."""
    if parsed_args.timeout is not None and not parsed_args.wait:
        raise UsageError("--timeout says how long to wait; give --wait, too, or leave it out")


def check_wait_options(parsed_args: argparse.Namespace) -> None:
    """Raise UsageError for an option that has no effect."""
    check_end_options(parsed_args)
    if parsed_args.every_task and not parsed_args.wait:
        raise UsageError("--all says what --wait shows at its end; give --wait, too, or leave it out")


class JobWaiter:
    """Waits for the end of jobs, one after another, for `timeout_s` in all.

    labels: names to show instead of image ids. All messages go to `stderr`. Ctrl-C and a service that stays unavailable
    raise, after a message on how to find the job again.
    """

    def __init__(
        self, jobs: Jobs, *, stderr: TextIO, timeout_s: float | None, is_quiet: bool, labels: Mapping[str, str]
    ) -> None:
        self._jobs = jobs
        self._stderr = stderr
        self._timeout_s = timeout_s
        self._is_quiet = is_quiet
        self._labels = labels
        self._begun = time.monotonic()

    def wait_for_job(self, job_id: str, *, every_task: bool) -> tuple[Snapshot, ExitCode]:
        """Return the last snapshot and the exit code. every_task: with all tasks, not only failures."""
        shown = in_full if every_task else only_failures
        followed = self._wait(job_id, "continues")
        code = ExitCode.TIMED_OUT if followed.timed_out else code_for_job(followed.snapshot.state)
        return shown(self._jobs, followed.snapshot), code

    def wait_until_cancelled(self, job_ids: Sequence[str]) -> tuple[list[JsonObject], ExitCode]:
        """Wait for jobs that were asked to end as cancelled; return them as they were seen last.

        The exit code is that of the first that did not end as cancelled.
        """
        seen, code = list[JsonObject](), ExitCode.DONE
        for job_id in job_ids:
            followed = self._wait(job_id, "is still being cancelled")
            seen.append(followed.snapshot.job)
            if followed.timed_out:
                code = code or ExitCode.TIMED_OUT
            elif (state := followed.snapshot.state) != JobState.CANCELLED:
                self._stderr.write(
                    f"precache: Job {job_id} ended as {state}, not as cancelled; its conductor may be of an older "
                    "release, which does not know requests to cancel\n"
                )
                code = code or ExitCode.REFUSED
        return seen, code

    def _wait(self, job_id: str, unended: str) -> WaitResult:
        """Wait for the job's end and report it, or how to show the job later; return the last snapshot.

        unended: the state of a job that is no longer waited for, for the message.
        """
        try:
            followed = self._watched(job_id)
        except KeyboardInterrupt:
            self._print_hint("Interrupted", job_id, unended)
            raise
        except Unavailable:
            self._print_hint("Not waiting any longer", job_id, unended)
            raise
        if followed.timed_out:
            self._print_hint(f"Not ended after {self._timeout_s:g} s", job_id, unended)
        elif not self._is_quiet:
            self._stderr.writelines(f"{line}\n" for line in closing_report(followed.snapshot, self._labels))
        return followed

    def _watched(self, job_id: str) -> WaitResult:
        with _view(self._stderr, self._is_quiet, self._labels) as view:
            return follow(
                self._jobs, job_id, view=view, clock=time.monotonic, pause=time.sleep, timeout_s=self._left_s()
            )

    def _left_s(self) -> float | None:
        return None if self._timeout_s is None else max(0.0, self._timeout_s + self._begun - time.monotonic())

    def _print_hint(self, why: str, job_id: str, unended: str) -> None:
        self._stderr.write(f"\n{why}; job {job_id} {unended}. Show it with: precache job show {job_id} [--wait]\n")


def is_live(stderr: TextIO, is_quiet: bool) -> bool:
    """Return whether messages go to a terminal that can be redrawn."""
    return not is_quiet and stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _view(stderr: TextIO, is_quiet: bool, labels: Mapping[str, str]) -> AbstractContextManager[ProgressView]:
    if is_live(stderr, is_quiet):
        from precache.cli.wait.live import LiveView  # importing rich takes 100 ms, so only for a terminal

        return LiveView(stream=stderr, labels=labels, clock=time.monotonic)
    return nullcontext(PlainView(stream=StringIO() if is_quiet else stderr, labels=labels, clock=time.monotonic))
