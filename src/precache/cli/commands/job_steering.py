"""`precache job pause`, `resume`, `retry` and `set`: an operator steers jobs."""

from __future__ import annotations

import argparse
from typing import ClassVar

from precache.cli.client import JsonObject
from precache.cli.command import Columns, ListCommand
from precache.cli.commands.job_options import add_changes, job_options
from precache.cli.commands.job_result import ShowJobCommand, job_cells
from precache.cli.errors import UsageError


class _SteerJobs(ListCommand):
    """Requests one action on several jobs, and lists the jobs as they are then."""

    action: ClassVar[str]
    least_needed = ("task_count",)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("jobs", metavar="job", nargs="+", help="id")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        steered: list[JsonObject] = []

        def steer(job_id: str) -> None:
            steered.append(self.service.jobs.steer(job_id, self.action))

        self.exit_code = self.for_each(list(dict.fromkeys(parsed_args.jobs)), steer, done_is="Requested")
        return self.columns, [[job_cells(job)[column] for column in self.columns] for job in steered]


class JobPause(_SteerJobs):
    """Pause jobs: no further host begins, and downloads stop where they are.

    A job that no conductor works on is paused at once; any other one when its hosts have stopped, usually within
    seconds. Hosts keep what they have received, and continue from there when the job is resumed; computes of an older
    release finish the image that they have begun. A paused job still ends at its deadline.

    Example:
      precache job pause 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11
      precache job list --state running -f value -c id | xargs precache job pause
    """

    action = "pause"
    columns = ("id", "state", "task_count", "counts", "pause_requested_at")


class JobResume(_SteerJobs):
    """Resume paused jobs.

    A job with a window continues when it is open. A job that is not paused stays as it is.

    Example:
      precache job resume 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11
    """

    action = "resume"
    columns = ("id", "state", "task_count", "counts", "due_at", "reason")


class JobRetry(_SteerJobs):
    """Run again what was no success in jobs that have ended.

    Tasks that failed, were skipped, were cancelled or expired run again, as further attempts of the same tasks; images
    that are in caches are not requested again. A deadline that has passed is removed.

    Example:
      precache job retry 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11
      precache job show 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --wait
    """

    action = "retry"
    columns = ("id", "state", "task_count", "counts", "retry_count")


class JobSet(ShowJobCommand):
    """Change the options of a job that has not ended.

    A job that runs obeys within two seconds, on every host. The word `none` removes an option.

    Example:
      precache job set 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --parallelism 50 --rate-limit none
      precache job set 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --window 'sat,sun 22:00-06:00 Europe/Paris'
      precache job set 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --priority 90 --deadline 2026-12-05T04:00:00Z
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job", help="id")
        add_changes(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        options = job_options(parsed_args)
        if not options:
            raise UsageError("There is nothing to change; give at least one option, such as --priority 90")
        values = job_cells(self.service.jobs.change(parsed_args.job, options))
        return list(values), list(values.values())
