"""The shared parts of the commands that make a job for any set of hosts: its target, its options, its plan."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from precache.cli.client import JsonObject
from precache.cli.command import Columns
from precache.cli.commands.cache_image import RequestCommand
from precache.cli.commands.job_options import add_job_options, duration_s, job_options
from precache.cli.commands.job_plan import PLAN_FIELDS, plan_cells, table_cells, write_groups
from precache.cli.errors import UsageError
from precache.core.errors import InvalidOption
from precache.core.idempotency import KEY_RULE, is_idempotency_key
from precache.core.operations import Operation
from precache.core.orders import check_base, check_keep_for, instant_text, read_instant

_TARGET = ("aggregates", "cells", "hosts", "exclude_hosts")

_OF_IMAGES = ("keep_for_s", "keep_until", "even_pinned", "base")
"""The options of each image, by their names in the request."""


def _idempotency_key(text: str) -> str:
    """Return the key, for argparse: no header can hold other text."""
    if not is_idempotency_key(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {KEY_RULE}")
    return text


def _keep_for(text: str) -> int:
    """Return for how many seconds images are kept, for argparse."""
    try:
        return check_keep_for(duration_s(text))
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _keep_until(text: str) -> str:
    """Return until when images are kept, in the format of the service, for argparse."""
    try:
        return instant_text(read_instant("keep_until", text))
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _base(text: str) -> str:
    """Return the id of an older image, for argparse."""
    try:
        return check_base(text)
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_base(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base",
        metavar="IMAGE-ID",
        type=_base,
        help="the id of an older image: hosts that have it take the pieces that agree from it, and receive only the "
        "others; without it they look for an image of the same name or family",
    )


def add_keeping(parser: argparse.ArgumentParser, since: str) -> None:
    """Add the options for how long images are kept. since: from when the duration counts."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--keep-for",
        metavar="TIME",
        type=_keep_for,
        dest="keep_for_s",
        help=f"keep the images in the caches for at least that long {since}, such as 12h or 7d, also if no instance "
        "uses them",
    )
    group.add_argument(
        "--keep-until",
        metavar="TIME",
        type=_keep_until,
        help="the same until this time, such as 2026-12-24T20:00:00Z or ...+01:00",
    )


def add_even_pinned(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--even-pinned",
        action="store_const",
        const=True,
        help="purge the images also where they are pinned; without it a pinned image stays, which is an error",
    )


class NewJobCommand(RequestCommand):
    """A command that makes a job for any set of hosts, or shows its plan."""

    def operation_of(self, parsed_args: argparse.Namespace) -> Operation:
        """Return what the job does."""
        raise NotImplementedError

    def images_of(self, parsed_args: argparse.Namespace) -> list[JsonObject]:
        """Return the images of the request. Raises UsageError."""
        return [{"image": image} for image in parsed_args.images]

    def add_target(self, parser: argparse.ArgumentParser) -> None:
        add_list(parser, "--aggregate", "aggregates", "all hosts of this aggregate: name, id or UUID")
        add_list(parser, "--cell", "cells", "all hosts of this cell")
        add_list(parser, "--host", "hosts", "this host")
        add_list(
            parser, "--exclude-host", "exclude_hosts", "exclude this host, even if it is in an aggregate or a cell"
        )

    def add_request_options(self, parser: argparse.ArgumentParser, *, left_out: Collection[str] = ()) -> None:
        """Add the options of the request and of the job. left_out: as in `add_job_options`."""
        parser.add_argument(
            "--idempotency-key",
            metavar="KEY",
            type=_idempotency_key,
            help="marks this request, so that it can be repeated: with the same key and options it shows the first job "
            "and makes no second one",
        )
        parser.add_argument("--dry-run", action="store_true", help="show the plan of the job, and do not make the job")
        add_job_options(parser, left_out=left_out)

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return tuple(PLAN_FIELDS) if parsed_args.dry_run else super().columns_of(parsed_args)

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.dry_run and parsed_args.wait:
            raise UsageError("--dry-run makes no job for which --wait could wait; leave one of them out")
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        target = {part: names for part in _TARGET if (names := getattr(parsed_args, part))}
        of_images = {name: value for name in _OF_IMAGES if (value := getattr(parsed_args, name, None)) is not None}
        operation = self.operation_of(parsed_args)
        request: JsonObject = {"images": [image | of_images for image in self.images_of(parsed_args)], "target": target}
        if operation is not Operation.CACHE:  # which a service of an earlier release knows, too
            request["operation"] = operation.value
        if parsed_args.name is not None:
            request["name"] = parsed_args.name
        request |= job_options(parsed_args)
        if parsed_args.dry_run:
            values = plan_cells(self.service.jobs.plan(request, parsed_args.idempotency_key))
            return list(values), list(values.values())
        job = self.service.jobs.create(request, parsed_args.idempotency_key)
        if not parsed_args.wait:
            return self.job_result(job, None)
        return self.wait(str(job.get("id")), job.get("image_names") or {}, parsed_args)

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Any]) -> int:
        """Write the job, or the plan. In a table the cells and sites of a plan follow as a second table."""
        values = dict(zip(column_names, data, strict=True))
        if not parsed_args.dry_run or parsed_args.formatter != "table":
            return super().produce_output(parsed_args, column_names, list(values.values()))
        asked, groups = self.asked_columns(parsed_args), values.pop("groups")
        if asked != ["groups"]:
            shown = values if asked else table_cells(values, groups or [])
            super().produce_output(parsed_args, list(shown), list(shown.values()))
        # The numbers of a single group are those of the plan.
        if "groups" in asked or (not asked and len(groups or []) > 1):
            write_groups(groups or [], self.app.stdout, parsed_args)
        return 0


def add_list(parser: argparse.ArgumentParser, option: str, field: str, what: str, *, required: bool = False) -> None:
    """Add an option that can be repeated."""
    metavar = option.removeprefix("--exclude-").removeprefix("--").upper()
    parser.add_argument(
        option,
        metavar=metavar,
        action="append",
        dest=field,
        default=None if required else [],
        required=required,
        help=f"{what}; can be repeated",
    )
