"""`precache host cache image`: cache images on one host."""

from __future__ import annotations

import argparse

from precache.cli.command import Columns
from precache.cli.commands.cache_image import CacheImageCommand, labels_of


class HostCacheImage(CacheImageCommand):
    """Fill the image cache of one host, independent of its aggregates.

    Job, options, output and exit codes are the same as with `aggregate cache image`.

    Example:
      precache host cache image cmp-7 debian-12 --wait
    """

    def add_target(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("host", help="name of the compute host")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        images = self.find_images(parsed_args)
        job = self.create_with_options(parsed_args, images, hosts=[parsed_args.host])
        if job is None:
            job = self.service.hosts.cache_images(parsed_args.host, [str(image["id"]) for image in images])
        if not parsed_args.wait:
            return self.job_result(job, None)
        return self.wait(str(job.get("id")), labels_of(images), parsed_args)
