"""`precache job watch`: follow a job on one screen."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from precache.cli.command import Columns
from precache.cli.commands.job_result import JobCommand
from precache.cli.options import seconds
from precache.cli.wait.waiting import JobWaiter
from precache.cli.watch.watching import JobWatcher


class JobWatch(JobCommand):
    """Follow a job until it ends: totals, sites, the slowest hosts, failures, last changes.

    On a terminal the screen is redrawn twice a second, for any number of hosts. Otherwise there is a line for each
    change of the job and for each failure. The command shows changes as the service sends them, connects again if the
    connection breaks, and reads the job again and again if the service has no events. Ctrl-C ends only the command; the
    job continues.

    At the end it shows the job and the failed tasks; --all shows every task. The exit code is: 0 succeeded, 4
    partly_failed, 5 failed, 6 cancelled, 7 --timeout ran out, 9 expired.

    Example:
      precache job watch 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11
      precache job watch 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --timeout 3600 2> progress.log
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job", help="id")
        parser.add_argument(
            "--timeout", metavar="SECONDS", type=seconds, help="the longest wait; after that exit with code 7"
        )
        parser.add_argument(
            "--all", action="store_true", dest="every_task", help="show every task at the end, not only failures"
        )
        parser.set_defaults(wait=True)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        return self.wait(parsed_args.job, {}, parsed_args)

    def waiter(self, labels: Mapping[str, str], parsed_args: argparse.Namespace) -> JobWaiter:
        return JobWatcher(
            self.service.jobs,
            hosts=self.service.hosts.every,
            stderr=self.app.stderr,
            timeout_s=parsed_args.timeout,
            is_quiet=self.is_quiet,
            labels=labels,
        )
