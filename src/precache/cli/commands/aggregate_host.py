"""`precache aggregate add host` and `remove host`."""

from __future__ import annotations

import argparse

from precache.cli.command import Command


class _Membership(Command):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", help="name or id")
        parser.add_argument("hosts", metavar="host", nargs="+", help="name of the compute host")
        return parser


class AggregateAddHost(_Membership):
    """Add hosts to an aggregate.

    Nothing is printed if all are in it now. If some cannot be added, the message says why, and which were.

    Example:
      precache aggregate add host web cmp-7 cmp-8
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        aggregates = self.service.aggregates
        found = aggregates.find(parsed_args.aggregate)["id"]
        return self.for_each(parsed_args.hosts, lambda host: aggregates.add_host(found, host))


class AggregateRemoveHost(_Membership):
    """Remove hosts from an aggregate.

    Nothing is printed if none is in it now. If some cannot be removed, the message says why, and which were.

    Example:
      precache aggregate remove host web cmp-7 cmp-8
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        aggregates = self.service.aggregates
        found = aggregates.find(parsed_args.aggregate)["id"]
        return self.for_each(parsed_args.hosts, lambda host: aggregates.remove_host(found, host))
