"""`precache aggregate add host` and `remove host`."""

from __future__ import annotations

import argparse

from precache.cli.command import Command


class _Membership(Command):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("aggregate", help="name or id")
        parser.add_argument("hosts", metavar="host", nargs="+", help="name of the compute host")


class AggregateAddHost(_Membership):
    """Add hosts to an aggregate.

    Prints nothing on success. If hosts cannot be added, the messages say why, and which hosts were added.

    Example:
      precache aggregate add host web cmp-7 cmp-8
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        aggregates = self.service.aggregates
        found = aggregates.find(parsed_args.aggregate)["id"]
        return self.for_each(parsed_args.hosts, lambda host: aggregates.add_host(found, host))


class AggregateRemoveHost(_Membership):
    """Remove hosts from an aggregate.

    Prints nothing on success. If hosts cannot be removed, the messages say why, and which hosts were removed.

    Example:
      precache aggregate remove host web cmp-7 cmp-8
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        aggregates = self.service.aggregates
        found = aggregates.find(parsed_args.aggregate)["id"]
        return self.for_each(parsed_args.hosts, lambda host: aggregates.remove_host(found, host))
