"""`precache aggregate cache image`: cache images on all hosts of an aggregate."""

from __future__ import annotations

import argparse

from precache.cli.client import JsonObject
from precache.cli.command import Columns
from precache.cli.commands.cache_image import CacheImageCommand, labels_of
from precache.core.errors import Refused, Unavailable


class AggregateCacheImage(CacheImageCommand):
    """Fill the image caches of all hosts of an aggregate.

    The service accepts the request as a job, which the command shows. With --wait it waits for the end of the job, and
    shows the counts and the failed tasks (--all: every task). Its exit code is then: 0 succeeded, 4 partly_failed, 5
    failed, 6 cancelled, 7 --timeout ran out, 9 expired. Ctrl-C ends the waiting, not the job.

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
                self.wait(str(job.get("id")), labels_of(images), parsed_args)
                if parsed_args.wait
                else self.job_result(job, None)
            )
        job_id = self.service.aggregates.cache_images(aggregate["id"], [str(image["id"]) for image in images])
        accepted = {"id": job_id, "aggregate": aggregate, "images": [image["id"] for image in images]}
        if job_id is None:
            return self._without_a_job(accepted, parsed_args)
        if not parsed_args.wait:
            return self.job_result(self._look(job_id, accepted), None)
        return self.wait(job_id, labels_of(images), parsed_args)

    def _without_a_job(self, accepted: JsonObject, parsed_args: argparse.Namespace) -> Columns:
        """Return the result if the service is Nova itself, which has accepted the request but has no jobs."""
        if parsed_args.wait:
            raise Refused("The service accepted the request but has no jobs to wait for; is it Nova itself?")
        return self.job_result(accepted, None)

    def _look(self, job_id: str, accepted: JsonObject) -> JsonObject:
        """Return the job, or only its id if it cannot be read: the request was accepted in any case."""
        try:
            return self.service.jobs.get(job_id)
        except (Refused, Unavailable):
            return accepted
