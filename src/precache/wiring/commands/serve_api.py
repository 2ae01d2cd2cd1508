"""`precache serve api`: run the HTTP API of a deployment."""

from __future__ import annotations

import argparse

from precache.rules.listen_address import parse_listen_address
from precache.wiring.api_process import ApiProcess
from precache.wiring.commands.serving import ServeCommand, serve_until_told


class ServeApi(ServeCommand):
    """Run the HTTP API, with Keystone's authentication or tokens of the service's own.

    It accepts requests and stores them for a conductor; several may run. Any WSGI server can run the same application:
    `precache.wiring.wsgi:application`.

    Example:
      precache serve api --config-file /etc/precache/precache.conf --listen 0.0.0.0:8775
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--listen", metavar="ADDRESS:PORT", help="where to listen (default: [api] listen)")

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        config = self.configured(parsed_args)
        address = parse_listen_address(parsed_args.listen or config.api.listen)
        serve_until_told(
            ApiProcess(config=config, address=address),
            print_message=self.print_message,
            greeting=lambda url: f"The Precache API answers at {url}. Ctrl-C ends it.",
            farewell="Stopping.",
        )
