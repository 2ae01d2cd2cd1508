"""`precache job ...`: the jobs and their results."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from precache.cli.client import JsonObject, PrecacheClient
from precache.cli.columns import ImageNames, cells, least_needed_first
from precache.cli.command import Columns, ListCommand
from precache.cli.commands.job_result import JOB_FIELDS, TASK_FIELDS, JobCommand, job_cells
from precache.cli.commands.job_sites import write_sites
from precache.cli.errors import UsageError
from precache.cli.times import TIME_HELP, past_time
from precache.cli.wait.waiting import JobWaiter, add_end_options, add_wait_options, check_end_options
from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id
from precache.core.job_lists import JobSortKey
from precache.core.jobs import JobState, Outcome, TaskState
from precache.core.operations import Operation

_SORT_KEYS = tuple(str(key) for key in JobSortKey)
_NEWEST = 50
_LONGEST_LIST = 10**9


def list_length(text: str) -> int:
    """Return the length of a list, for argparse; 0 means all."""
    # The digits are counted first, because int() refuses thousands of them.
    number = int(text) if text.isdecimal() and len(text) <= len(str(_LONGEST_LIST)) else -1
    if not 0 <= number <= _LONGEST_LIST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_LONGEST_LIST}, or 0 for all")
    return number


def _sort(text: str) -> tuple[str, str]:
    """Return the key and the direction of an order, for argparse."""
    key, _, direction = text.partition(":")
    if key not in _SORT_KEYS or direction not in ("", "asc", "desc"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(_SORT_KEYS)}, with :asc or :desc behind it for the direction"
        )
    return key, direction or "asc"


def image_id(service: PrecacheClient, name_or_id: str | None) -> str | None:
    """Return the id of the image."""
    if name_or_id is None:
        return None
    try:
        return parse_image_id(name_or_id)  # which the image service may have deleted meanwhile
    except InvalidImageId:
        return str(service.images.find(name_or_id)["id"])


class JobList(ListCommand):
    """List jobs, by default the newest first. A job is listed if it meets all conditions.

    Example:
      precache job list --state running --host cmp-1 --since 2h
      precache job list --state failed --state partly_failed --aggregate edge --sort finished_at:desc
      precache job list --limit 0 -f csv
    """

    columns = (
        "id",
        "name",
        "operation",
        "state",
        "aggregate",
        "host",
        "images",
        "task_count",
        "counts",
        "rate_bytes_per_s",
        "eta_s",
        "priority",
        "reason",
        "created_at",
        "finished_at",
    )
    least_needed = (
        "priority",
        "finished_at",
        "task_count",
        "host",
        "rate_bytes_per_s",
        "created_at",
        "eta_s",
        "aggregate",
        "reason",
        "name",
        "operation",
        "counts",
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--state",
            action="append",
            choices=[str(state) for state in JobState],
            help="only jobs in this state; give it several times for any of several",
        )
        parser.add_argument(
            "--operation",
            action="append",
            choices=[operation.value for operation in Operation],
            help="only jobs that do this with their images; give it several times for any of several",
        )
        parser.add_argument("--image", metavar="IMAGE", help="only jobs for this image, by name or id")
        parser.add_argument("--host", metavar="HOST", help="only jobs with a task on this host")
        parser.add_argument(
            "--aggregate", metavar="AGGREGATE", help="only jobs whose request named this aggregate, by name or id"
        )
        parser.add_argument("--name", metavar="NAME", help="only jobs with this name")
        parser.add_argument(
            "--since", metavar="TIME", type=past_time, help=f"only jobs created since then: {TIME_HELP}"
        )
        parser.add_argument(
            "--changed-since",
            metavar="TIME",
            type=past_time,
            help="only jobs that run, or were created, started, asked to stop, or ended since then",
        )
        parser.add_argument(
            "--sort",
            metavar="KEY[:asc|desc]",
            type=_sort,
            default=("created_at", "desc"),
            help=f"order by {', '.join(_SORT_KEYS)}, ascending unless :desc follows; by default created_at:desc",
        )
        parser.add_argument(
            "--limit",
            metavar="N",
            type=list_length,
            default=_NEWEST,
            help=f"most jobs to list; 0 for all (default {_NEWEST})",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        rows = []
        sort_key, sort_dir = parsed_args.sort
        found = self.service.jobs.find(
            limit=parsed_args.limit,
            state=parsed_args.state,
            operation=parsed_args.operation,
            image=image_id(self.service, parsed_args.image),
            host=parsed_args.host,
            aggregate=parsed_args.aggregate,
            name=parsed_args.name,
            since=parsed_args.since,
            changed_since=parsed_args.changed_since,
            sort_key=sort_key,
            sort_dir=sort_dir,
        )
        for job in found:
            values = job_cells(job)
            values["images"] = ImageNames(values["images"].machine_readable(), job.get("image_names") or {})
            rows.append([values.get(column) for column in self.columns])
        return self.columns, rows


class JobShow(JobCommand):
    """Show a job and the outcome of each image on each host.

    With --wait the command waits for the end of the job, and its exit code is: 0 succeeded, 4 partly_failed, 5 failed,
    6 cancelled, 7 --timeout ran out, 9 expired. It then shows the failed tasks; --all shows every task. Without --wait
    it shows every task, and 0 means that the job was found.

    With --sites it shows, in place of the tasks, how the images go by swarm through the hosts of each site: from which
    host each receives an image, what it has, how far it is behind that host, and its rate.

    Example:
      precache job show 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --wait
      precache job show 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --sites
    """

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return (*JOB_FIELDS, "sites") if parsed_args.sites else super().columns_of(parsed_args)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job", help="id")
        parser.add_argument("--sites", action="store_true", help="show the hosts of each site by swarm")
        add_wait_options(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        jobs = self.service.jobs
        if parsed_args.sites and parsed_args.wait:
            raise UsageError("--sites shows the job as it is now; leave out --wait, or --sites")
        if parsed_args.sites:
            names, data = self.job_result(jobs.get(parsed_args.job), None)
            return [*names, "sites"], [*data, jobs.sites(parsed_args.job)]
        if not parsed_args.wait:
            return self.job_result(jobs.get(parsed_args.job), jobs.tasks(parsed_args.job))
        return self.wait(parsed_args.job, {}, parsed_args)

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Any]) -> int:
        """Write the job. In a table the sites follow as tables."""
        values = dict(zip(column_names, data, strict=True))
        if parsed_args.formatter != "table" or "sites" not in values:
            return super().produce_output(parsed_args, column_names, list(values.values()))
        sites = values.pop("sites")
        asked = self.asked_columns(parsed_args)
        if asked != ["sites"]:
            super().produce_output(parsed_args, list(values), list(values.values()))
        if not asked or "sites" in asked:
            write_sites(sites, self.app.stdout, parsed_args)
        return 0


class JobCancel(ListCommand):
    """Cancel jobs: stop their downloads, and start no further ones.

    A job that no conductor has begun ends at once; any other job ends when its hosts have stopped, usually within
    seconds. Images that are already cached stay. A job that has ended otherwise is refused.

    With --wait the command waits for the end of all jobs: exit code 0 means that they ended as cancelled, 7 that
    --timeout ran out. It lists the hosts that did not confirm that they stopped.

    Example:
      precache job cancel 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --wait
    """

    columns = ("id", "state", "task_count", "counts", "cancel_requested_at", "finished_at")
    least_needed = ("finished_at", "task_count", "cancel_requested_at")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("jobs", metavar="job", nargs="+", help="id")
        add_end_options(parser, "all of them have")

    def run(self, parsed_args: argparse.Namespace) -> int:
        check_end_options(parsed_args)
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        asked: dict[str, JsonObject] = {}

        def cancel(job_id: str) -> None:
            asked[job_id] = self.service.jobs.steer(job_id, "cancel")

        self.exit_code = self.for_each(list(dict.fromkeys(parsed_args.jobs)), cancel, done_is="Requested")
        found = list(asked.values())
        if parsed_args.wait:
            waiter = JobWaiter(
                self.service.jobs,
                stderr=self.app.stderr,
                timeout_s=parsed_args.timeout,
                is_quiet=self.is_quiet,
                labels={},
            )
            found, code = waiter.wait_until_cancelled(list(asked))
            self.exit_code = self.exit_code or code
        return self.columns, [[job_cells(job)[column] for column in self.columns] for job in found]


class JobTaskList(ListCommand):
    """List the tasks of a job: each image on each host.

    Example:
      precache job task list 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --outcome error -f csv
      precache job task list 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --outcome error --outcome skipped --with-reason
      precache job task list 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --host cmp-7 --limit 20
    """

    columns = tuple(TASK_FIELDS)
    least_needed = least_needed_first(TASK_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job", help="id")
        parser.add_argument(
            "--outcome",
            action="append",
            choices=[str(outcome) for outcome in Outcome],
            help="only this outcome; give it several times for any of several",
        )
        parser.add_argument("--with-reason", action="store_true", help="only tasks with a reason")
        parser.add_argument("--state", choices=[str(state) for state in TaskState], help="only tasks in this state")
        parser.add_argument("--host", metavar="HOST", help="only tasks on this host")
        parser.add_argument("--cell", metavar="CELL", help="only tasks of hosts in this cell")
        parser.add_argument("--image", metavar="IMAGE", help="only tasks for this image, by name or id")
        parser.add_argument(
            "--limit", metavar="N", type=list_length, default=0, help="most tasks to list; 0 for all (default 0)"
        )

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        found = self.service.jobs.tasks(
            parsed_args.job,
            limit=parsed_args.limit,
            host=parsed_args.host,
            cell=parsed_args.cell,
            image=image_id(self.service, parsed_args.image),
            state=parsed_args.state,
            outcome=parsed_args.outcome,
            has_reason="true" if parsed_args.with_reason else None,
        )
        return self.columns, [list(cells(TASK_FIELDS, task).values()) for task in found]
