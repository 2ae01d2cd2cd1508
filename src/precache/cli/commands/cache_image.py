"""The shared parts of the commands that request images: their options, images by name, the wait, the result."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from precache.cli.client import JsonObject
from precache.cli.commands.job_result import JOB_FIELDS, JobCommand
from precache.cli.wait.waiting import add_wait_options
from precache.core.orders import MOST_BYTES_PER_S

_OPTIONS = ("rate_limit_bytes_per_s",)
"""The options of a job, by their names in the request."""

_RATE = re.compile(r"([0-9]{1,18})([kMG]?)")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def bytes_per_second(text: str) -> int:
    """Return a rate, for argparse."""
    match = _RATE.fullmatch(text)
    rate = int(match[1]) * _FACTORS[match[2]] if match else 0
    if not 1 <= rate <= MOST_BYTES_PER_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number of bytes from 1 to {MOST_BYTES_PER_S}, such as 1500k or 20M"
        )
    return rate


def add_rate_limit(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--rate-limit",
        metavar="BYTES-PER-SECOND",
        type=bytes_per_second,
        dest="rate_limit_bytes_per_s",
        help=f"{what}; k, M and G are 1000, 1000² and 1000³",
    )


class RequestCommand(JobCommand):
    """A command that requests images and may wait until they are cached."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        add_rate_limit(parser, "highest average rate of the download on each host, such as 20M")
        add_wait_options(parser)

    def options(self, parsed_args: argparse.Namespace) -> JsonObject:
        """Return the options that were given."""
        return {name: value for name in _OPTIONS if (value := getattr(parsed_args, name)) is not None}

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return self.columns if parsed_args.wait else tuple(JOB_FIELDS)


class CacheImageCommand(RequestCommand):
    """A command for one aggregate or one host, which comes before the images."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        self.add_target(parser)
        parser.add_argument("images", metavar="image", nargs="+", help="name or id")
        self.add_options(parser)

    def add_target(self, parser: argparse.ArgumentParser) -> None:
        """Add the argument for the target: an aggregate or a host."""
        raise NotImplementedError

    def create_with_options(
        self, parsed_args: argparse.Namespace, images: Sequence[JsonObject], **target: Sequence[str]
    ) -> JsonObject | None:
        """Send the request of Precache's own API and return the job. Without options, send nothing; return None."""
        options = self.options(parsed_args)
        if not options:
            return None
        named = [{"image": str(image["id"])} for image in images]
        return self.service.jobs.create({"images": named, "target": target, **options})

    def find_images(self, parsed_args: argparse.Namespace) -> list[JsonObject]:
        return [self.service.images.find(name) for name in parsed_args.images]


def labels_of(images: Sequence[JsonObject]) -> dict[str, str]:
    """Return the names of the images by id."""
    return {str(image["id"]): str(image.get("name") or image["id"]) for image in images}
