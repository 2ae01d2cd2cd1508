"""`precache aggregate cache image`: what all of this is for."""

from __future__ import annotations

import argparse

from precache.cli.client import Document
from precache.cli.command import Columns
from precache.cli.commands.job_result import JOB_FIELDS, JobCommand
from precache.cli.wait.waiting import add_wait_options, wait_for_job
from precache.core.errors import Refused, Unavailable


class AggregateCacheImage(JobCommand):
    """Fill the image caches of all hosts of an aggregate.

    The request is accepted as a job; the answer shows it. With --wait the command ends when the job has ended,
    shows the outcome on every host, and its exit code tells how it went: 0 succeeded, 4 partly_failed,
    5 failed, 6 cancelled, 7 --timeout ran out. Ctrl-C ends the waiting, not the job.

    Example:
      precache aggregate cache image web debian-12 --wait
      precache aggregate cache image web debian-12 ubuntu-24 --wait --timeout 600 -f json
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", help="name or id")
        parser.add_argument("images", metavar="image", nargs="+", help="name or id")
        add_wait_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        aggregate = self.service.aggregates.find(parsed_args.aggregate)
        images = [self.service.images.find(name) for name in parsed_args.images]
        job_id = self.service.aggregates.cache_images(aggregate["id"], [str(image["id"]) for image in images])
        accepted = {"id": job_id, "aggregate": aggregate, "images": [image["id"] for image in images]}
        if job_id is None:
            return self._without_a_job(accepted, parsed_args)
        if not parsed_args.wait:
            return self.job_result(self._look(job_id, accepted), None)
        snapshot, self.exit_code = wait_for_job(
            self.service.jobs,
            job_id,
            stderr=self.app.stderr,
            timeout_s=parsed_args.timeout,
            is_quiet=self.is_quiet,
            labels={str(image["id"]): str(image.get("name") or image["id"]) for image in images},
        )
        return self.job_result(snapshot.job, snapshot.tasks)

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return self.columns if parsed_args.wait else JOB_FIELDS

    def _without_a_job(self, accepted: Document, parsed_args: argparse.Namespace) -> Columns:
        """Nova answers so: it took the request, and says no more of it."""
        if parsed_args.wait:
            raise Refused("The service took the request but has no jobs to wait for; is it Nova itself?")
        return self.job_result(accepted, None)

    def _look(self, job_id: str, accepted: Document) -> Document:
        """Give the job as it is now, or what we know of it: the request was accepted, whatever a second call says."""
        try:
            return self.service.jobs.get(job_id)
        except (Refused, Unavailable):
            return accepted
