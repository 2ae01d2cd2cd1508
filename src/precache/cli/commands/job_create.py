"""`precache job create`: one job for aggregates, cells and hosts together."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any

from precache.cli.client import JsonObject
from precache.cli.command import Columns
from precache.cli.commands.cache_image import RequestCommand
from precache.cli.commands.job_options import add_job_options, duration_s, job_options
from precache.cli.commands.job_plan import PLAN_FIELDS, plan_cells, without_empty, write_groups
from precache.cli.errors import UsageError
from precache.core.errors import InvalidOption
from precache.core.idempotency import KEY_RULE, is_idempotency_key
from precache.core.orders import check_image_priority, check_keep_for

_IMAGE_PRIORITY = re.compile(r"(?P<image>.+)=(?P<priority>[0-9]{1,9})", re.DOTALL)
"""The last = divides: the name of an image may have others."""

_TARGET = ("aggregates", "cells", "hosts", "exclude_hosts")


def _idempotency_key(text: str) -> str:
    """Return the key, for argparse: no header can hold other text."""
    if not is_idempotency_key(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {KEY_RULE}")
    return text


def _image_priority(text: str) -> tuple[str, int]:
    """Return the image and its priority in a text such as `debian-12=80`, for argparse."""
    match = _IMAGE_PRIORITY.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form IMAGE=N, such as debian-12=80")
    try:
        return match["image"], check_image_priority(int(match["priority"]))
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _keep_for(text: str) -> int:
    """Return for how many seconds images are kept, for argparse."""
    try:
        return check_keep_for(duration_s(text))
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _with_priorities(images: Sequence[str], priorities: Sequence[tuple[str, int]]) -> list[JsonObject]:
    """Return the images of a request. Raises UsageError for a priority without its image, or given twice."""
    chosen = dict(priorities)
    for image in chosen:
        if image not in images:
            raise UsageError(f"--image-priority names {image!r}, but no --image does; give the image as in --image")
    if len(chosen) < len(priorities):
        raise UsageError("--image-priority is given twice for the same image; leave one out")
    return [{"image": image} | ({"priority": chosen[image]} if image in chosen else {}) for image in images]


class JobCreate(RequestCommand):
    """Fill the image caches of any set of hosts, as one job.

    The options for images and hosts can be repeated. The job is for all hosts of the aggregates and cells and for the
    hosts given by name, without the excluded ones; each host counts once. Hosts that are added to an aggregate later
    are not included. Each host caches the images in the order in which they are given; --image-priority puts some first
    or last. The service checks the whole request: if it refuses a name, nothing is started.

    Without --wait the command shows the accepted job. Output and exit codes with --wait are those of
    `aggregate cache image`.

    With --dry-run nothing is started and nothing is stored. The hosts say what they hold, and the command shows the
    plan: how many hosts have each image, how much would be downloaded where, which hosts lack space, are down or do not
    answer, and how long it takes by the rates of earlier jobs.

    Example:
      precache job create --image debian-12 --aggregate web --aggregate db --wait
      precache job create --name friday-rollout --image debian-12 --image ubuntu-24 --cell cell2 --exclude-host cmp-9
      precache job create --image debian-12 --host cmp-1 --host cmp-2 --rate-limit 20M --priority 80
      precache job create --image debian-12 --image ubuntu-24 --aggregate web --image-priority ubuntu-24=80
      precache job create --image debian-12 --aggregate web --keep-for 7d
      precache job create --image debian-12 --aggregate web --dry-run
      precache job create --image debian-12 --aggregate web --idempotency-key rollout-2026-12-04
      precache job create --image debian-12 --aggregate edge --parallelism 20 --canary 10% --retries 2
      precache job create --image debian-12 --aggregate edge --window 'mon,tue 02:00-05:00 Europe/Paris'
      precache job create --image debian-12 --cell cell2 --deadline 2026-12-05T04:00:00Z --when-down wait
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--name", metavar="NAME", help="name of the job; need not be unique")
        self._add_list(parser, "--image", "images", "name or id of an image", required=True)
        parser.add_argument(
            "--image-priority",
            metavar="IMAGE=N",
            action="append",
            dest="image_priorities",
            default=[],
            type=_image_priority,
            help="priority of this image, from 0 to 100 (default 0): each host caches images with a higher one first; "
            "IMAGE as given in --image; can be repeated",
        )
        parser.add_argument(
            "--keep-for",
            metavar="TIME",
            type=_keep_for,
            dest="keep_for_s",
            help="keep the images in the caches for at least that long after they are cached, such as 12h or 7d, also "
            "if no instance uses them",
        )
        self._add_list(parser, "--aggregate", "aggregates", "all hosts of this aggregate: name, id or UUID")
        self._add_list(parser, "--cell", "cells", "all hosts of this cell")
        self._add_list(parser, "--host", "hosts", "this host")
        self._add_list(
            parser, "--exclude-host", "exclude_hosts", "exclude this host, even if it is in an aggregate or a cell"
        )
        parser.add_argument(
            "--idempotency-key",
            metavar="KEY",
            type=_idempotency_key,
            help="marks this request, so that it can be repeated: with the same key and options it shows the first job "
            "and makes no second one",
        )
        parser.add_argument("--dry-run", action="store_true", help="show the plan of the job, and do not make the job")
        add_job_options(parser)
        self.add_options(parser)

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return tuple(PLAN_FIELDS) if parsed_args.dry_run else super().columns_of(parsed_args)

    def run(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.dry_run and parsed_args.wait:
            raise UsageError("--dry-run makes no job for which --wait could wait; leave one of them out")
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        target = {part: names for part in _TARGET if (names := getattr(parsed_args, part))}
        images = _with_priorities(parsed_args.images, parsed_args.image_priorities)
        if parsed_args.keep_for_s is not None:
            images = [image | {"keep_for_s": parsed_args.keep_for_s} for image in images]
        name = {} if parsed_args.name is None else {"name": parsed_args.name}
        request = {"images": images, "target": target, **name, **job_options(parsed_args)}
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
            shown = values if asked else without_empty(values)
            super().produce_output(parsed_args, list(shown), list(shown.values()))
        # The numbers of a single group are those of the plan.
        if "groups" in asked or (not asked and len(groups or []) > 1):
            write_groups(groups or [], self.app.stdout, parsed_args)
        return 0

    def _add_list(
        self, parser: argparse.ArgumentParser, option: str, field: str, what: str, *, required: bool = False
    ) -> None:
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
