"""`--wait` as commands use it: its options, its view, and what is said when it ends or is cut short."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from precache.cli.client.jobs import Jobs
from precache.cli.errors import UsageError
from precache.cli.exit_codes import ExitCode, code_for_job
from precache.cli.options import seconds
from precache.cli.wait.follow import Followed, follow, in_full, only_failures
from precache.cli.wait.plain import PlainView
from precache.cli.wait.snapshot import Snapshot
from precache.cli.wait.wording import closing_report
from precache.core.errors import Unavailable

if TYPE_CHECKING:
    from precache.cli.wait.live import LiveView


def add_wait_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended, and show how it comes along")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="with --wait: how long at most; then exit with code 7"
    )

    parser.add_argument(
        "--all",
        action="store_true",
        dest="every_task",
        help="with --wait: show every task, not just failures",
    )


def check_wait_options(parsed_args: argparse.Namespace) -> None:
    """Raise UsageError for an option that would do nothing."""
    if parsed_args.timeout is not None and not parsed_args.wait:
        raise UsageError("--timeout says how long to wait; give --wait, too, or leave it out")
    if parsed_args.every_task and not parsed_args.wait:
        raise UsageError("--all says what --wait shows at its end; give --wait, too, or leave it out")


def wait_for_job(
    jobs: Jobs,
    job_id: str,
    *,
    stderr: TextIO,
    timeout_s: float | None,
    is_quiet: bool,
    labels: Mapping[str, str],
    every_task: bool = False,
) -> tuple[Snapshot, ExitCode]:
    """Wait for the job's end; return the last that was seen of it and the exit code that says how it went.

    labels: names to show instead of image ids. every_task: return all tasks, not only failures.
    All words go to `stderr`. Ctrl-C and a service that stays
    silent pass through as exceptions, after a word on how to find the job again.
    """
    shown = in_full if every_task else only_failures
    try:
        followed = _watched(jobs, job_id, stderr=stderr, timeout_s=timeout_s, is_quiet=is_quiet, labels=labels)
    except KeyboardInterrupt:
        _say_it_goes_on(stderr, "Interrupted", job_id)
        raise
    except Unavailable:
        _say_it_goes_on(stderr, "Not waiting any longer", job_id)
        raise
    if followed.timed_out:
        _say_it_goes_on(stderr, f"Not ended after {timeout_s:g} s", job_id)
        return shown(jobs, followed.snapshot), ExitCode.TIMED_OUT
    if not is_quiet:
        stderr.writelines(f"{line}\n" for line in closing_report(followed.snapshot, labels))
    return shown(jobs, followed.snapshot), code_for_job(followed.snapshot.state)


def _watched(
    jobs: Jobs, job_id: str, *, stderr: TextIO, timeout_s: float | None, is_quiet: bool, labels: Mapping[str, str]
) -> Followed:
    with _view(stderr, is_quiet, labels) as view:
        return follow(jobs, job_id, watcher=view, clock=time.monotonic, pause=time.sleep, timeout_s=timeout_s)


def _view(stderr: TextIO, is_quiet: bool, labels: Mapping[str, str]) -> LiveView | PlainView:
    if is_quiet:
        return PlainView(stream=StringIO(), labels=labels, clock=time.monotonic)
    if stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from precache.cli.wait.live import LiveView  # rich costs 100 ms, which only a terminal is worth

        return LiveView(stream=stderr, labels=labels, clock=time.monotonic)
    return PlainView(stream=stderr, labels=labels, clock=time.monotonic)


def _say_it_goes_on(stderr: TextIO, why: str, job_id: str) -> None:
    stderr.write(f"\n{why}; job {job_id} goes on. Look at it: precache job show {job_id} [--wait]\n")
