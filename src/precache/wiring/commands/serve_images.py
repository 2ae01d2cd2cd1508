"""`precache serve images`: run an image service without Glance."""

from __future__ import annotations

import argparse
from pathlib import Path

from precache.cli.errors import UsageError
from precache.rules.listen_address import parse_listen_address
from precache.wiring.commands.options import existing_directory, given_path
from precache.wiring.commands.serving import ServeCommand, serve_until_told
from precache.wiring.images_process import ImageServiceOptions, ImagesProcess
from precache.wiring.state_dir import StateDir

DEFAULT_THREADS = 40
"""Each thread needs about 100 kB while it waits; a transfer occupies one."""


class ServeImages(ServeCommand):
    """Serve a directory of disk images as an image service: the reading part of the Glance v2 API.

    For hosts without OpenStack. If [api] auth_strategy is token, callers need a token of any role; tokens require TLS
    ([api] cert_file and key_file) or a loopback address.

    Example:
      precache serve images --images /srv/images --listen 0.0.0.0:9292
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--images", metavar="DIR", type=given_path, required=True, help="directory of disk images")
        parser.add_argument(
            "--listen",
            metavar="ADDRESS:PORT",
            default="127.0.0.1:9292",
            help="where to listen (default: %(default)s)",
        )
        parser.add_argument(
            "--state-dir",
            metavar="DIR",
            type=given_path,
            default=Path("/var/lib/precache"),
            help="directory of the hashes of images and the log of requests (default: %(default)s)",
        )
        parser.add_argument(
            "--threads",
            metavar="N",
            type=int,
            default=DEFAULT_THREADS,
            help="concurrent transfers; further ones wait (default: %(default)s)",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if not 1 <= parsed_args.threads <= 1000:
            raise UsageError(f"--threads is a number from 1 to 1000, not {parsed_args.threads}")
        config = self.configured(parsed_args)
        serving = ImageServiceOptions(
            images=existing_directory(parsed_args.images, "--images"),
            state=StateDir(parsed_args.state_dir),
            address=parse_listen_address(parsed_args.listen),
            threads=parsed_args.threads,
        )
        serve_until_told(
            ImagesProcess(config=config, serving=serving),
            print_message=self.print_message,
            greeting=lambda url: f"The image service answers at {url}. Ctrl-C ends it.",
            farewell="Stopping; running transfers are aborted; clients can resume them.",
        )
