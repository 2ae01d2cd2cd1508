"""`precache serve all`: run the embedded service until a signal ends it."""

from __future__ import annotations

import argparse
import logging
import socket
from pathlib import Path

from precache.cli.command import Command
from precache.config.load import load_config
from precache.rules.listen_address import parse_listen_address
from precache.wiring.commands.options import (
    OWNER_BY_DEFAULT,
    STANDALONE,
    add_config_file,
    existing_directory,
    given_path,
)
from precache.wiring.commands.serving import serve_until_told
from precache.wiring.embedded_process import EmbeddedOptions, EmbeddedProcess
from precache.wiring.host_names import DEFAULT_CELL, EmbeddedHost, parse_hosts
from precache.wiring.log_output import log_to_file_instead_of_terminal, start_logging
from precache.wiring.state_dir import StateDir

_log = logging.getLogger(__name__)


class ServeAll(Command):
    """Run API, conductor, computes and an image service in one process.

    For tests, for a lab, and for plain libvirt hosts. All data is in one directory. Every client is an administrator;
    therefore only loopback addresses are accepted.

    Example:
      precache serve all --state-dir /var/lib/precache --hosts cell1:cmp-1,cell1:cmp-2 --images /srv/images

    Ctrl-C or SIGTERM ends it; running jobs continue at the next start.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--state-dir",
            metavar="DIR",
            type=given_path,
            required=True,
            help="directory of the database, caches and logs",
        )
        parser.add_argument(
            "--listen",
            metavar="ADDRESS:PORT",
            default="127.0.0.1:8775",
            help="where to listen (default: %(default)s)",
        )
        parser.add_argument(
            "--hosts",
            metavar="CELL:HOST[:DRIVER],...",
            help="compute hosts to run, each with a cache below the state directory; drivers: libvirt, fake, uncached "
            "(default: this machine alone, in cell1; its cache is below [DEFAULT] instances_path if there is a "
            "configuration file)",
        )
        parser.add_argument(
            "--images",
            metavar="DIR",
            type=given_path,
            help="directory of disk images to serve as image service (default: images in the state directory)",
        )
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        address = parse_listen_address(parsed_args.listen)
        state = StateDir(parsed_args.state_dir)
        hosts = parse_hosts(parsed_args.hosts) if parsed_args.hosts is not None else None
        here = str(state.instances_path(socket.gethostname()))
        config = load_config(parsed_args.config_file, {**STANDALONE, (None, "instances_path"): here})
        if hosts is None:
            hosts = [EmbeddedHost(DEFAULT_CELL, config.host.host, instances_path=config.host.instances_path)]
        # These refuse wrong options, so they come before the state directory is made.
        embedding = EmbeddedOptions(state, address, tuple(hosts), _images(parsed_args.images, state))
        process = EmbeddedProcess(config=config, embedding=embedding)
        state.take()
        log_file = log_to_file_instead_of_terminal(config, state.log_file) if self.app.stderr.isatty() else None
        start_logging(config, process="all")
        if not config.image_cache.is_precache_owner and not config.image_cache.is_owner_chosen:
            _log.warning("%s. No expired image is removed here; set owner = precache or owner = nova", OWNER_BY_DEFAULT)
        serve_until_told(
            process,
            print_message=self.print_message,
            greeting=lambda url: (
                f"Precache answers at {url} and keeps its state in {state.root}. "
                f"{f'Its log is {log_file}. ' if log_file else ''}Ctrl-C ends it."
            ),
            farewell="Stopping; running jobs continue at the next start.",
        )


def _images(given: Path | None, state: StateDir) -> Path:
    if given is not None:
        return existing_directory(given, "--images")
    return state.default_images
