"""`precache job create`: one job for aggregates, cells and hosts together."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from precache.cli.client import JsonObject
from precache.cli.commands.new_job import NewJobCommand, add_base, add_even_pinned, add_keeping, add_list
from precache.cli.errors import UsageError
from precache.core.errors import InvalidOption
from precache.core.operations import Operation
from precache.core.orders import check_image_priority

_IMAGE_PRIORITY = re.compile(r"(?P<image>.+)=(?P<priority>[0-9]{1,9})", re.DOTALL)
"""The last = divides: the name of an image may have others."""


def _image_priority(text: str) -> tuple[str, int]:
    """Return the image and its priority in a text such as `debian-12=80`, for argparse."""
    match = _IMAGE_PRIORITY.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form IMAGE=N, such as debian-12=80")
    try:
        return match["image"], check_image_priority(int(match["priority"]))
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


class JobCreate(NewJobCommand):
    """Fill the image caches of any set of hosts, or do another operation with the images there, as one job.

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
      precache job create --image debian-12 --aggregate web --base 70a599e0-31e7-49b7-b260-868f441e862b
      precache job create --operation purge --image debian-11 --cell cell2 --canary 2
      precache job create --image debian-12 --aggregate web --dry-run
      precache job create --image debian-12 --aggregate web --idempotency-key rollout-2026-12-04
      precache job create --image debian-12 --aggregate edge --parallelism 20 --canary 10% --retries 2
      precache job create --image debian-12 --aggregate edge --window 'mon,tue 02:00-05:00 Europe/Paris'
      precache job create --image debian-12 --cell cell2 --deadline 2026-12-05T04:00:00Z --when-down wait
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--name", metavar="NAME", help="name of the job; need not be unique")
        parser.add_argument(
            "--operation",
            choices=[operation.value for operation in Operation],
            default=Operation.CACHE.value,
            help="what is done with the images: cache (the default), verify, purge, pin or unpin",
        )
        add_list(parser, "--image", "images", "name or id of an image", required=True)
        parser.add_argument(
            "--image-priority",
            metavar="IMAGE=N",
            action="append",
            dest="image_priorities",
            default=[],
            type=_image_priority,
            help="priority of this image, from 0 to 100 (default 0): each host begins with the images of a higher one; "
            "IMAGE as given in --image; can be repeated",
        )
        add_keeping(parser, "after they are cached or pinned")
        add_even_pinned(parser)
        add_base(parser)
        self.add_target(parser)
        self.add_request_options(parser)
        self.add_options(parser)

    def operation_of(self, parsed_args: argparse.Namespace) -> Operation:
        return Operation(parsed_args.operation)

    def images_of(self, parsed_args: argparse.Namespace) -> list[JsonObject]:
        return _with_priorities(parsed_args.images, parsed_args.image_priorities)
