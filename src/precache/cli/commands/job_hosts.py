"""`precache job host ...`: the hosts of a job."""

from __future__ import annotations

import argparse

from precache.cli.columns import Bytes, Counts, Field, Fields, Rate, Text, TimeLeft, cells, least_needed_first, plain
from precache.cli.command import Columns, ListCommand
from precache.cli.commands.job import list_length
from precache.core.jobs import TaskState

HOST_FIELDS: Fields = {
    "host": Field(Text),
    "cell": Field(Text, left_out=2),
    "site": Field(Text, left_out=6),
    "state": Field(plain),
    "image": Field(Text, left_out=1),
    "phase": Field(Text, left_out=7),
    "task_states": Field(Counts, left_out=3),
    "counts": Field(Counts),
    "bytes_done": Field(Bytes, left_out=9),
    "bytes_total": Field(Bytes, left_out=8),
    "rate_bytes_per_s": Field(Rate, left_out=5),
    "eta_s": Field(TimeLeft, left_out=10),
    "attempts": Field(plain, left_out=4),
    "reason": Field(Text),
}


class JobHostList(ListCommand):
    """List the hosts of a job with their progress, in the order of the request.

    A host is `running` if one of its tasks runs, `ended` if all of them have ended, else `waiting`. `image` and `phase`
    are those of its running task.

    Example:
      precache job host list 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --state running
      precache job host list 0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e11 --site shop-7 -f csv
    """

    columns = tuple(HOST_FIELDS)
    least_needed = least_needed_first(HOST_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job", help="id")
        parser.add_argument("--state", choices=[str(state) for state in TaskState], help="only hosts in this state")
        parser.add_argument("--cell", metavar="CELL", help="only hosts in this cell")
        parser.add_argument("--site", metavar="SITE", help="only hosts in this site")
        parser.add_argument(
            "--limit", metavar="N", type=list_length, default=0, help="most hosts to list; 0 for all (default 0)"
        )

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        found = self.service.jobs.hosts(
            parsed_args.job,
            limit=parsed_args.limit,
            state=parsed_args.state,
            cell=parsed_args.cell,
            site=parsed_args.site,
        )
        rows = [host | {name: host.get(name) or {} for name in ("task_states", "counts")} for host in found]
        return self.columns, [list(cells(HOST_FIELDS, host).values()) for host in rows]
