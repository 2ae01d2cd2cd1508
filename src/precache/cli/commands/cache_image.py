"""What `aggregate cache image` and `host cache image` share: images by name, the wait, the result."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from precache.cli.client import Document
from precache.cli.command import Columns
from precache.cli.commands.job_result import JOB_FIELDS, JobCommand
from precache.cli.wait.waiting import add_wait_options, wait_for_job


class CacheImageCommand(JobCommand):
    """A command that has images cached, and may wait until they are."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_target(parser)
        parser.add_argument("images", metavar="image", nargs="+", help="name or id")
        add_wait_options(parser)
        return parser

    def add_target(self, parser: argparse.ArgumentParser) -> None:
        """Add the argument that says where the images shall be."""
        raise NotImplementedError

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return self.columns if parsed_args.wait else JOB_FIELDS

    def find_images(self, parsed_args: argparse.Namespace) -> list[Document]:
        return [self.service.images.find(name) for name in parsed_args.images]

    def wait(self, job_id: str, images: Sequence[Document], parsed_args: argparse.Namespace) -> Columns:
        """Wait for the job; its end decides the exit code."""
        labels = {str(image["id"]): str(image.get("name") or image["id"]) for image in images}
        snapshot, self.exit_code = wait_for_job(
            self.service.jobs,
            job_id,
            stderr=self.app.stderr,
            timeout_s=parsed_args.timeout,
            is_quiet=self.is_quiet,
            labels=labels,
            every_task=parsed_args.every_task,
        )
        return self.job_result(snapshot.job, snapshot.tasks)
