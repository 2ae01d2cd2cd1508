"""The result of a job command: the job's fields, and a table of its tasks."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from precache.cli.client import JsonObject
from precache.cli.columns import (
    AllImages,
    ByImage,
    Bytes,
    Counts,
    Field,
    Fields,
    Properties,
    Rate,
    Sources,
    TargetColumn,
    Text,
    TimeLeft,
    Timestamp,
    WindowColumn,
    cells,
    plain,
)
from precache.cli.command import Columns, ShowCommand
from precache.cli.formatters import Table
from precache.cli.wait.waiting import JobWaiter, check_wait_options

JOB_FIELDS: Fields = {
    "id": Field(plain),
    "name": Field(Text),
    "operation": Field(plain),
    "state": Field(plain),
    "target": Field(TargetColumn),
    "aggregate": Field(Text),
    "aggregate_id": Field(plain),
    "host": Field(Text),
    "images": Field(plain),
    "image_names": Field(Properties),
    "priority": Field(plain),
    "parallelism": Field(plain),
    "parallelism_per_site": Field(plain),
    "job_rate_limit_bytes_per_s": Field(Rate),
    "jitter_s": Field(plain),
    "not_before": Field(Timestamp),
    "deadline": Field(Timestamp),
    "window": Field(WindowColumn),
    "retries": Field(plain),
    "when_down": Field(plain),
    "transfer": Field(plain),
    "canary": Field(Properties),
    "notify_url": Field(Text),
    "requested_by": Field(Text),
    "created_at": Field(Timestamp),
    "started_at": Field(Timestamp),
    "cancel_requested_at": Field(Timestamp),
    "pause_requested_at": Field(Timestamp),
    "due_at": Field(Timestamp),
    "retry_count": Field(plain),
    "reason": Field(Text),
    "finished_at": Field(Timestamp),
    "task_count": Field(plain),
    "task_states": Field(Counts),
    "counts": Field(Counts),
    "bytes_done": Field(Bytes),
    "bytes_total": Field(Bytes),
    "rate_bytes_per_s": Field(Rate),
    "eta_s": Field(TimeLeft),
    "bytes_from": Field(Sources),
    "by_image": Field(plain),
}
TASK_FIELDS: Fields = {
    "host": Field(Text),
    "cell": Field(Text, left_out=11),
    "image": Field(plain, left_out=2),
    "image_name": Field(Text),
    "state": Field(plain, left_out=4),
    "outcome": Field(Text),
    "phase": Field(Text, left_out=6),
    "bytes_done": Field(Bytes, left_out=12),
    "bytes_total": Field(Bytes, left_out=8),
    "parent": Field(Text, left_out=13),
    "bytes_from": Field(Sources, left_out=14),
    "decoded_by": Field(Text, left_out=15),
    "rate_bytes_per_s": Field(Rate, left_out=5),
    "eta_s": Field(TimeLeft, left_out=9),
    "attempts": Field(plain, left_out=3),
    "failures": Field(plain, left_out=0),
    "reason": Field(Text),
    "reported_at": Field(Timestamp, left_out=1),
    "started_at": Field(Timestamp, left_out=7),
    "finished_at": Field(Timestamp, left_out=10),
}
# The fields that fit a terminal; -f json and `job task list` have all. For a task without an outcome the column
# `outcome` shows its state or phase.
_IN_TABLE = ("host", "image", "outcome", "bytes_done", "decoded_by", "reason", "started_at", "finished_at")
_TASK_LEAST_NEEDED = ("decoded_by", "started_at", "finished_at", "bytes_done")
_AFTER_WAITING = ("id", "state", "counts")
_ONLY_IF_SET = frozenset(
    {
        "name",
        "aggregate",
        "aggregate_id",
        "host",
        "parallelism",
        "parallelism_per_site",
        "job_rate_limit_bytes_per_s",
        "jitter_s",
        "not_before",
        "deadline",
        "window",
        "retries",
        "canary",
        "notify_url",
        "started_at",
        "cancel_requested_at",
        "pause_requested_at",
        "due_at",
        "retry_count",
        "reason",
        "finished_at",
        "task_states",
        "counts",
        "rate_bytes_per_s",
        "eta_s",
        "bytes_from",
        "by_image",
    }
)
"""Rows that a table of one job leaves out if they would say nothing."""


def job_cells(job: JsonObject) -> dict[str, Any]:
    """Return a job's cells by the names of their columns."""
    aggregate, names = job.get("aggregate") or {}, job.get("image_names") or {}
    images = AllImages([_image_id(image) for image in job.get("images") or []], names)
    computed = {
        "aggregate": aggregate.get("name"),
        "aggregate_id": aggregate.get("id"),
        "target": job.get("target") or {},
        "images": images,
        "image_names": names,
        "task_states": job.get("task_states") or {},
        "counts": job.get("counts") or {},
        "canary": job.get("canary") or {},
        "by_image": ByImage(job.get("by_image") or [], names),
    }
    return cells(JOB_FIELDS, job | computed)


def _in_table(task: JsonObject) -> dict[str, Any]:
    standing = task.get("outcome") or (task.get("phase") if task.get("state") == "running" else task.get("state"))
    return cells(TASK_FIELDS, task) | {
        "outcome": Text(standing),
        "image": Text(task.get("image_name") or task.get("image")),
    }


def _is_set(cell: Any) -> bool:
    return bool(cell.machine_readable() if isinstance(cell, FormattableColumn) else cell)


def _image_id(image: Any) -> str:
    return str(image.get("id")) if isinstance(image, dict) else str(image)


class ShowJobCommand(ShowCommand):
    """A command whose result is a job. A table leaves out what would be empty, and names images once."""

    columns = tuple(JOB_FIELDS)

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Any]) -> int:
        values = dict(zip(column_names, data, strict=True))
        if parsed_args.formatter == "table" and not self.asked_columns(parsed_args):
            values = {name: value for name, value in values.items() if name not in _ONLY_IF_SET or _is_set(value)}
            values.pop("image_names", None)  # `images` has them
        return super().produce_output(parsed_args, list(values), list(values.values()))


class JobCommand(ShowJobCommand):
    """A command whose result is a job, if requested with its tasks. It has the options of --wait."""

    columns = (*JOB_FIELDS, "tasks")

    def run(self, parsed_args: argparse.Namespace) -> int:
        check_wait_options(parsed_args)
        return super().run(parsed_args)

    def wait(self, job_id: str, labels: Mapping[str, str], parsed_args: argparse.Namespace) -> Columns:
        """Wait for the job and set the exit code by its state. labels: names of the images by id."""
        waiter = self.waiter(labels, parsed_args)
        snapshot, self.exit_code = waiter.wait_for_job(job_id, every_task=parsed_args.every_task)
        return self.job_result(snapshot.job, snapshot.tasks)

    def waiter(self, labels: Mapping[str, str], parsed_args: argparse.Namespace) -> JobWaiter:
        """Return what `wait` uses."""
        return JobWaiter(
            self.service.jobs,
            stderr=self.app.stderr,
            timeout_s=parsed_args.timeout,
            is_quiet=self.is_quiet,
            labels=labels,
        )

    def job_result(self, job: JsonObject, tasks: Sequence[JsonObject] | None) -> Columns:
        """Return the columns; without tasks there is no such column."""
        values = job_cells(job)
        names, data = list(values), list(values.values())
        if tasks is not None:
            names.append("tasks")
            data.append([{field: task.get(field) for field in TASK_FIELDS} for task in tasks])
        return names, data

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Any]) -> int:
        """Write the job. In a table the tasks follow as a second table, not in a cell."""
        values = dict(zip(column_names, data, strict=True))
        if parsed_args.formatter != "table" or "tasks" not in values:
            return super().produce_output(parsed_args, column_names, list(values.values()))
        tasks = values.pop("tasks")
        asked = self.asked_columns(parsed_args)
        if not asked and parsed_args.wait and not parsed_args.every_task:
            values = {name: values[name] for name in _AFTER_WAITING}
        if asked != ["tasks"]:
            super().produce_output(parsed_args, list(values), list(values.values()))
        if tasks and (not asked or "tasks" in asked):
            self._write_tasks(parsed_args, tasks)
        return 0

    def _write_tasks(self, parsed_args: argparse.Namespace, tasks: Sequence[JsonObject]) -> None:
        # A single image is named above; its column would leave too little space for the reasons.
        without = {"image"} if len({task.get("image") for task in tasks}) == 1 else set()
        without |= set() if any(task.get("decoded_by") for task in tasks) else {"decoded_by"}
        fields = [field for field in _IN_TABLE if field not in without]
        rows = [[_in_table(task).get(field) for field in fields] for task in tasks]
        table = Table()
        table.least_needed = _TASK_LEAST_NEEDED
        without_choice = argparse.Namespace(**{**vars(parsed_args), "columns": []})
        table.emit_list(fields, rows, self.app.stdout, without_choice)
