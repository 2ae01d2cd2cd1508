"""`precache image pin`, `unpin`, `verify` and `purge`: what is done with images that are in caches."""

from __future__ import annotations

import argparse
from collections.abc import Collection

from precache.cli.commands.cache_image import add_rate_limit
from precache.cli.commands.new_job import NewJobCommand, add_even_pinned, add_keeping
from precache.cli.wait.waiting import add_wait_options
from precache.core.operations import Operation


class _OperationCommand(NewJobCommand):
    """A command for one operation."""

    operation: Operation
    left_out: Collection[str] = ("job_rate_limit_bytes_per_s", "transfer")
    """The options of a job that it does not take."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "images", metavar="image", nargs="+", help="name, id or entry, also of one that was deleted"
        )
        self.add_own_options(parser)
        self.add_target(parser)
        parser.add_argument("--name", metavar="NAME", help="name of the job; need not be unique")
        self.add_request_options(parser, left_out=self.left_out)
        add_wait_options(parser)

    def add_own_options(self, parser: argparse.ArgumentParser) -> None:
        """Add what only this operation takes."""

    def operation_of(self, parsed_args: argparse.Namespace) -> Operation:
        return self.operation


class ImagePin(_OperationCommand):
    """Pin images, so that they stay in the caches also if no instance uses them.

    Without --keep-for and --keep-until they stay until they are unpinned. Where an image is not in the cache the task
    is an error: `job create --keep-for` caches and pins it. Its kernel and ramdisk are pinned with it.

    The service accepts the request as a job. Its hosts are chosen, and its output and exit codes are, as in `job
    create`.

    Example:
      precache image pin debian-12 --aggregate web --wait
      precache image pin debian-12 ubuntu-24 --cell cell2 --keep-until 2026-12-24T20:00:00Z
    """

    operation = Operation.PIN

    def add_own_options(self, parser: argparse.ArgumentParser) -> None:
        add_keeping(parser, "from now on")


class ImageUnpin(_OperationCommand):
    """Remove all pins of images, so that they expire as all others.

    This removes nothing from a cache. The kernel and the ramdisk of an image are unpinned with it, also if another
    image has the same ones: pin that image again to keep them.

    Example:
      precache image unpin debian-12 --aggregate web --wait
    """

    operation = Operation.UNPIN


class ImageVerify(_OperationCommand):
    """Read images in the caches again, and compare them with what was cached.

    The outcome is intact, corrupt, or unverifiable if nothing is known to compare with. corrupt is no success, so that
    the exit code of --wait tells it.

    Example:
      precache image verify debian-12 --aggregate web --wait
      precache image verify debian-12 --cell cell2 --rate-limit 50M --window '22:00-05:00'
    """

    operation = Operation.VERIFY
    left_out = ("transfer",)

    def add_own_options(self, parser: argparse.ArgumentParser) -> None:
        add_rate_limit(parser, "highest average rate at which each host reads, such as 20M")


class ImagePurge(_OperationCommand):
    """Remove images from the caches, unless disks use them.

    An image that is in use stays: the outcome in_use is no success, and its reason has the paths of the disks. A pinned
    image stays, too, without --even-pinned. Kernels and ramdisks stay, because other images may have the same ones:
    give their ids to remove them.

    Example:
      precache image purge debian-11 --aggregate web --dry-run
      precache image purge debian-11 --aggregate web --canary 2 --wait
      precache image purge 70a599e0-31e7-49b7-b260-868f441e862b --cell cell2 --even-pinned
    """

    operation = Operation.PURGE

    def add_own_options(self, parser: argparse.ArgumentParser) -> None:
        add_even_pinned(parser)
