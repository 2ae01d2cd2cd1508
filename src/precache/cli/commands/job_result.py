"""A job as the result of a command: its fields, and its tasks as a table of their own."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from precache.cli.client import Document
from precache.cli.columns import AllImages, Bytes, Counts, Instant, Properties, Text
from precache.cli.command import Columns, ShowCommand
from precache.cli.formatters import Table
from precache.cli.wait.waiting import check_wait_options

JOB_FIELDS = (
    "id",
    "state",
    "aggregate",
    "aggregate_id",
    "host",
    "images",
    "image_names",
    "requested_by",
    "created_at",
    "started_at",
    "finished_at",
    "task_count",
    "counts",
)
TASK_FIELDS = (
    "host",
    "cell",
    "image",
    "image_name",
    "state",
    "outcome",
    "phase",
    "bytes_done",
    "bytes_total",
    "attempts",
    "reason",
    "started_at",
    "finished_at",
)
# What fits a terminal; -f json and `job task list` have the rest. Here `outcome` says how far it is until there is one.
_IN_TABLE = ("host", "image", "outcome", "bytes_done", "reason", "started_at", "finished_at")
_TASK_LEAST_NEEDED = ("started_at", "finished_at", "bytes_done")
_AFTER_WAITING = ("id", "state", "counts")


def job_values(job: Document) -> dict[str, Any]:
    """Return a job's fields as columns."""
    aggregate = job.get("aggregate") or {}
    return {
        **job,
        **{field: Instant(job.get(field)) for field in ("created_at", "started_at", "finished_at")},
        "aggregate": Text(aggregate.get("name")),
        "aggregate_id": aggregate.get("id"),
        "host": Text(job.get("host")),
        "images": AllImages([_image_id(image) for image in job.get("images") or []], job.get("image_names") or {}),
        "image_names": Properties(job.get("image_names") or {}),
        "requested_by": Text(job.get("requested_by")),
        "counts": Counts(job.get("counts") or {}),
    }


def task_values(task: Document) -> dict[str, Any]:
    """Return a task's fields as columns."""
    return {
        **task,
        **{field: Instant(task.get(field)) for field in ("started_at", "finished_at")},
        "host": Text(task.get("host")),
        "cell": Text(task.get("cell")),
        "image_name": Text(task.get("image_name")),
        "outcome": Text(task.get("outcome")),
        "phase": Text(task.get("phase")),
        "bytes_done": Bytes(task.get("bytes_done")),
        "bytes_total": Bytes(task.get("bytes_total")),
        "reason": Text(task.get("reason")),
    }


def _in_table(task: Document) -> dict[str, Any]:
    standing = task.get("outcome") or (task.get("phase") if task.get("state") == "running" else task.get("state"))
    return task_values(task) | {"outcome": Text(standing), "image": Text(task.get("image_name") or task.get("image"))}


def _image_id(image: Any) -> str:
    return str(image.get("id")) if isinstance(image, dict) else str(image)


class JobCommand(ShowCommand):
    """A command whose result is a job, with its tasks where they were asked for; it takes the options of waiting."""

    columns = (*JOB_FIELDS, "tasks")

    def run(self, parsed_args: argparse.Namespace) -> int:
        check_wait_options(parsed_args)
        return super().run(parsed_args)

    def job_result(self, job: Document, tasks: Sequence[Document] | None) -> Columns:
        """Return the columns; without tasks there is no such column."""
        values = job_values(job)
        names, data = list(JOB_FIELDS), [values.get(field) for field in JOB_FIELDS]
        if tasks is not None:
            names.append("tasks")
            data.append([{field: task.get(field) for field in TASK_FIELDS} for task in tasks])
        return names, data

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Any]) -> int:
        """Write the job; in a table its tasks follow as a second table instead of filling one cell."""
        values = dict(zip(column_names, data, strict=True))
        if parsed_args.formatter != "table" or "tasks" not in values:
            return super().produce_output(parsed_args, column_names, list(values.values()))
        tasks = values.pop("tasks")
        asked = self.asked_columns(parsed_args)
        if not asked:
            values.pop("image_names")  # they stand with the images
        if not asked and parsed_args.wait and not parsed_args.every_task:
            values = {name: values[name] for name in _AFTER_WAITING}
        if asked != ["tasks"]:
            super().produce_output(parsed_args, list(values), list(values.values()))
        if tasks and (not asked or "tasks" in asked):
            self._write_tasks(parsed_args, tasks)
        return 0

    def _write_tasks(self, parsed_args: argparse.Namespace, tasks: Sequence[Document]) -> None:
        # One image is named above already; its column would push the reasons off the screen.
        has_several_images = len({task.get("image") for task in tasks}) > 1
        fields = [field for field in _IN_TABLE if field != "image" or has_several_images]
        rows = [[_in_table(task).get(field) for field in fields] for task in tasks]
        table = Table()
        table.least_needed = _TASK_LEAST_NEEDED
        without_choice = argparse.Namespace(**{**vars(parsed_args), "columns": []})
        table.emit_list(fields, rows, self.app.stdout, without_choice)
