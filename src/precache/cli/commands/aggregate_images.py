"""`precache aggregate cache image`: what all of this is for."""

from __future__ import annotations

import argparse

from precache.cli.client import Document
from precache.cli.command import Columns
from precache.cli.commands.cache_image import CacheImageCommand
from precache.core.errors import Refused, Unavailable


class AggregateCacheImage(CacheImageCommand):
    """Fill the image caches of all hosts of an aggregate.

    The request is accepted as a job; the answer shows it. With --wait the command ends when the job has ended,
    shows the counts and what failed (--all: every host), and its exit code tells how it went: 0 succeeded,
    4 partly_failed, 5 failed, 6 cancelled, 7 --timeout ran out. Ctrl-C ends the waiting, not the job.

    Example:
      precache aggregate cache image web debian-12 --wait
      precache aggregate cache image web debian-12 ubuntu-24 --wait --timeout 600 --all -f json
    """

    def add_target(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("aggregate", help="name or id")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        aggregate = self.service.aggregates.find(parsed_args.aggregate)
        images = self.find_images(parsed_args)
        job = self.create_with_options(parsed_args, images, aggregates=[str(aggregate["id"])])
        if job is not None:
            return (
                self.wait(str(job.get("id")), images, parsed_args) if parsed_args.wait else self.job_result(job, None)
            )
        job_id = self.service.aggregates.cache_images(aggregate["id"], [str(image["id"]) for image in images])
        accepted = {"id": job_id, "aggregate": aggregate, "images": [image["id"] for image in images]}
        if job_id is None:
            return self._without_a_job(accepted, parsed_args)
        if not parsed_args.wait:
            return self.job_result(self._look(job_id, accepted), None)
        return self.wait(job_id, images, parsed_args)

    def _without_a_job(self, accepted: Document, parsed_args: argparse.Namespace) -> Columns:
        """Return the result where the service is Nova itself: it took the request, and says no more of it."""
        if parsed_args.wait:
            raise Refused("The service took the request but has no jobs to wait for; is it Nova itself?")
        return self.job_result(accepted, None)

    def _look(self, job_id: str, accepted: Document) -> Document:
        """Return the job as it is now, or what we know of it: the request was accepted, even if a second call fails."""
        try:
            return self.service.jobs.get(job_id)
        except (Refused, Unavailable):
            return accepted
