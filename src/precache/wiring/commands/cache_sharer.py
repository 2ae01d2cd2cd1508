"""`precache cache sharer ...`: the hosts that share this host's image cache. Works directly on its directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from precache.cli.columns import Text
from precache.cli.command import Columns, Command, ListCommand
from precache.cli.errors import UsageError
from precache.config.load import load_config
from precache.core.errors import CacheUnusable, NotFound, SharerStillThere
from precache.core.names import NAME_RULE, is_name
from precache.imagecache.disks.sharer_files import read_sharers, remove_sharer, silence_of
from precache.imagecache.disks.sharers import ABSENT_AFTER
from precache.imagecache.os_errors import explain
from precache.wiring.commands.options import STANDALONE, add_config_file, existing_directory, given_path


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--instances-path",
        metavar="DIR",
        type=given_path,
        help="where this host's instances and image cache are (default: [DEFAULT] instances_path)",
    )
    add_config_file(parser)


def _cache_of(parsed_args: argparse.Namespace) -> Path:
    config = load_config(parsed_args.config_file, STANDALONE)
    given = parsed_args.instances_path or config.host.instances_path
    path = existing_directory(given, "--instances-path")
    return existing_directory(path / config.image_cache.subdirectory_name, "[image_cache] subdirectory_name")


class CacheSharerList(ListCommand):
    """List the hosts that use this host's image cache, which is more than one if the directory is shared.

    Run it on a host that has the cache.

    Example:
      precache cache sharer list --instances-path /var/lib/nova/instances
    """

    columns = ("host", "seconds_since_seen", "entries_in_use", "knows_its_use")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        _add_directory(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        cache = _cache_of(parsed_args)
        try:
            sharers = list(read_sharers(cache))
        except OSError as error:
            raise CacheUnusable(str(cache), explain(error)) from error
        return self.columns, [
            (
                Text(each.host),
                int(each.silent_for.total_seconds()),
                None if each.used is None else len(each.used),
                each.used is not None,
            )
            for each in sharers
        ]


class CacheSharerRemove(Command):
    """Let a host that does not exist any more count no longer: what its guests used may be removed from the cache.

    A host that shares the cache and is silent counts until this is done, because its guests may still run. If it does
    exist, it counts again when its compute runs. A host that was there within half an hour is refused.

    Example:
      precache cache sharer remove cmp-7
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the host")
        parser.add_argument(
            "--force", action="store_true", help="also if it was there lately; its guests must not use the cache"
        )
        _add_directory(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if not is_name(parsed_args.name):
            raise UsageError(f"{parsed_args.name!r} cannot be a host's name, which is of {NAME_RULE}")
        cache = _cache_of(parsed_args)
        try:
            silent_for = silence_of(cache, parsed_args.name)
            if silent_for is not None and silent_for < ABSENT_AFTER and not parsed_args.force:
                raise SharerStillThere(parsed_args.name, str(cache), silent_for)
            is_removed = remove_sharer(cache, parsed_args.name)
        except OSError as error:
            raise CacheUnusable(str(cache), explain(error)) from error
        if not is_removed:
            raise NotFound(
                f"No host {parsed_args.name} uses {cache}", "`precache cache sharer list` shows those that do"
            )
        self.print_message(f"Host {parsed_args.name} does not count for {cache} any more.")
